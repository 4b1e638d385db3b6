package org.cinetomo;

/** How labelled subtomograms are divided: cinetomo_split_options in cinetomo.h. */
public final class SplitOptions {
    final Settings settings = new Settings();

    /** Fraction to train on. */
    public SplitOptions trainingFraction(double fraction) {
        return set("training_fraction", fraction);
    }

    /** Fraction to choose and to calibrate by. */
    public SplitOptions validationFraction(double fraction) {
        return set("validation_fraction", fraction);
    }

    /** Fraction to measure on. */
    public SplitOptions testFraction(double fraction) {
        return set("test_fraction", fraction);
    }

    /** Seed, from 0 to 2^53. */
    public SplitOptions seed(long seed) {
        return set("seed", seed);
    }

    /** Any number by its name in C. */
    public SplitOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }
}
