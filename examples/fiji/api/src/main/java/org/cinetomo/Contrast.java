package org.cinetomo;

/** Sign of the particles against their surroundings. The order is that of the numbers in cinetomo.h. */
public enum Contrast {
    /** Not stated. */
    UNKNOWN,
    /** Dark particles on a bright background, as tomograms are reconstructed. */
    DARK,
    /** Bright particles on a dark background, as RELION and Warp export them. */
    BRIGHT;

    static Contrast of(int number) {
        return number >= 0 && number < values().length ? values()[number] : UNKNOWN;
    }
}
