package org.cinetomo;

/** What is simulated: cinetomo_synthetic_options in cinetomo.h. */
public final class SyntheticOptions {
    final boolean liu2020;
    final Settings settings = new Settings();

    /** The defaults. */
    public SyntheticOptions() {
        this(false);
    }

    private SyntheticOptions(boolean liu2020) {
        this.liu2020 = liu2020;
    }

    /** The settings of the simulator behind the paper's simulated data (Liu et al. 2020). */
    public static SyntheticOptions liu2020() {
        return new SyntheticOptions(true);
    }

    /** Edge of the subtomograms in voxels. */
    public SyntheticOptions boxSize(int voxels) {
        return set("box_size", voxels);
    }

    /** Edge of a voxel in angstrom. */
    public SyntheticOptions voxelSize(double angstrom) {
        return set("voxel_size", angstrom);
    }

    /** Variance of the signal over that of the noise; 0 = no noise. */
    public SyntheticOptions snr(double ratio) {
        return set("snr", ratio);
    }

    /** Seed, from 0 to 2^53. */
    public SyntheticOptions seed(long seed) {
        return set("seed", seed);
    }

    /** Sign of the particles. */
    public SyntheticOptions contrast(Contrast sign) {
        return set("contrast", sign.ordinal());
    }

    /** Any number or choice by its name in C, such as {@code tilt_range} or {@code defocus}. */
    public SyntheticOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }
}
