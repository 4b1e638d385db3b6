package org.cinetomo;

/** What calibration learns: cinetomo_calibration_options in cinetomo.h. */
public final class CalibrationOptions {
    final Settings settings = new Settings();

    /** Wanted fraction of the accepted subtomograms that is classified correctly, above 0 and at most 1. */
    public CalibrationOptions precision(double fraction) {
        return set("precision", fraction);
    }

    /** Wanted fraction of the subtomograms that is accepted, above 0 and at most 1. */
    public CalibrationOptions coverage(double fraction) {
        return set("coverage", fraction);
    }

    /** Rules that get a threshold: a sum of {@link Predictions#BY_PROBABILITY} and {@link Predictions#BY_DISTANCE}. */
    public CalibrationOptions reject(int rules) {
        return set("reject", rules);
    }

    /** Any number or choice by its name in C. */
    public CalibrationOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }
}
