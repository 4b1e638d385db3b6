package org.cinetomo;

import java.util.Objects;

/** What network to make: cinetomo_model_options and cinetomo_preprocess in cinetomo.h. */
public final class ModelOptions {
    final String[] classNames;
    final Settings settings = new Settings();
    String backbone;
    Preset preset = Preset.DEFAULT;

    /** Defaults, and these classes: label i means the i-th. */
    public ModelOptions(String... classNames) {
        this.classNames = Objects.requireNonNull(classNames, "classNames").clone();
    }

    /** Name of the network; null = recognised from the checkpoint. */
    public ModelOptions backbone(String name) {
        backbone = name;
        return this;
    }

    /** The preprocessing that goes with a preset, which {@link #set} changes; the paper's does not go with the default's training. */
    public ModelOptions preset(Preset preset) {
        this.preset = Objects.requireNonNull(preset, "preset");
        return this;
    }

    /** Any other number, such as {@code seed}, {@code dropout}, {@code n_views} or {@code input_size_z}, by its name in C. */
    public ModelOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }
}
