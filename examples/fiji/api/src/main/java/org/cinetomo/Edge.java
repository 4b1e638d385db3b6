package org.cinetomo;

/** What becomes of boxes that reach beyond the tomogram. The order is that of the numbers in cinetomo.h. */
public enum Edge {
    /** What is missing becomes the mean of what is there. */
    PAD,
    /** They are left out. */
    SKIP,
    /** The call fails and names the first of them. */
    FAIL
}
