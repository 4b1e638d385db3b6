package org.cinetomo;

import java.nio.file.Path;
import java.util.Objects;

/** How a model is trained: cinetomo_fine_tune_options in cinetomo.h. */
public final class FineTuneOptions {
    final Preset preset;
    final Settings settings = new Settings();
    Path checkpoint;

    /** What was measured to be best at few labels. */
    public FineTuneOptions() {
        this(Preset.DEFAULT);
    }

    /** The training that a preset names. */
    public FineTuneOptions(Preset preset) {
        this.preset = Objects.requireNonNull(preset, "preset");
    }

    /** Passes over the training subtomograms. */
    public FineTuneOptions nEpochs(int epochs) {
        return set("n_epochs", epochs);
    }

    /** Fraction of each class that is held out to watch, choose and calibrate by. */
    public FineTuneOptions validationFraction(double fraction) {
        return set("validation_fraction", fraction);
    }

    /** Seed of everything random, from 0 to 2^53. */
    public FineTuneOptions seed(long seed) {
        return set("seed", seed);
    }

    /** Any number or choice by its name in C, such as {@code learning_rate}; choices by the numbers of cinetomo.h. */
    public FineTuneOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }

    /** Where the state of the training is kept, and from where it goes on if it is there. */
    public FineTuneOptions checkpoint(Path file) {
        checkpoint = file;
        return this;
    }
}
