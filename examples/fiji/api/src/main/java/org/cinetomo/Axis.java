package org.cinetomo;

/** An axis of a subtomogram. The order is that of the numbers in cinetomo.h. */
public enum Axis {
    /** The slowest: slices of an ImageJ stack. */
    Z,
    /** Rows. */
    Y,
    /** The fastest. */
    X
}
