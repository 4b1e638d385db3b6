package org.cinetomo;

/** Ways to train that have a name. The order is that of the numbers in cinetomo.h. */
public enum Preset {
    /** What was measured to be best at few labels. */
    DEFAULT,
    /** The paper's training of a video network. */
    PAPER_VIDEO,
    /** The paper's training of random numbers. */
    PAPER_RANDOM,
    /** No training: logistic regression on the network's features. */
    PROBE
}
