package org.cinetomo;

/** What a subtomogram is for. The order is that of the numbers in cinetomo.h. */
public enum Part {
    /** Nothing: it has no label, or no part wants it. */
    NONE,
    /** To train on. */
    TRAINING,
    /** To choose and to calibrate by. */
    VALIDATION,
    /** To measure on, once, when everything is chosen. */
    TEST
}
