package org.cinetomo;

/** How boxes are cut out: cinetomo_extract_options in cinetomo.h. */
public final class ExtractOptions {
    final Settings settings = new Settings();

    /** Edge of the cubic boxes in voxels. */
    public ExtractOptions boxSize(int voxels) {
        return set("box_size", voxels);
    }

    /** Edge of the boxes' voxels in angstrom; 0 = as the tomogram's. */
    public ExtractOptions voxelSize(double angstrom) {
        return set("voxel_size", angstrom);
    }

    /** How boxes are moved and rescaled. */
    public ExtractOptions resampling(Resampling resampling) {
        return set("resampling", resampling.ordinal());
    }

    /** What becomes of boxes that reach beyond the tomogram. */
    public ExtractOptions edge(Edge edge) {
        return set("edge", edge.ordinal());
    }

    /** Sign of the particles in the boxes: voxels are negated if the tomogram states the other one. */
    public ExtractOptions contrast(Contrast sign) {
        return set("contrast", sign.ordinal());
    }

    /** Any number or choice by its name in C. */
    public ExtractOptions set(String name, double value) {
        settings.set(name, value);
        return this;
    }
}
