package org.cinetomo;

/** How particles are picked: cinetomo_pick_options in cinetomo.h. */
public final class PickOptions {
    final Settings settings = new Settings();

    /** Diameter of the particles in angstrom; the tomogram must say its voxel size. */
    public PickOptions particleDiameter(double angstrom) {
        return set("particle_diameter", angstrom);
    }

    /** Standard deviation of the narrower Gaussian in voxels. */
    public PickOptions sigma(double voxels) {
        return set("sigma", voxels);
    }

    /** Smallest distance between two picks in voxels. */
    public PickOptions minDistance(double voxels) {
        return set("min_distance", voxels);
    }

    /** What picks must reach. */
    public PickOptions threshold(ThresholdRule rule, double threshold) {
        return set("threshold_rule", rule.ordinal()).set("threshold", threshold);
    }

    /** Most picks, the best ones. */
    public PickOptions nMax(int picks) {
        return set("n_max", picks);
    }

    /** Any number or choice by its name in C. */
    public PickOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }
}
