package org.cinetomo;

import java.util.Objects;

/** A tomogram: in memory, or read piece by piece. */
public final class Tomogram {
    final Subtomograms voxels;
    final TomogramReader reader;
    final long[] shape;
    final double voxelSize;
    final Contrast contrast;

    private Tomogram(
            Subtomograms voxels, TomogramReader reader, long[] shape, double voxelSize, Contrast contrast) {
        this.voxels = voxels;
        this.reader = reader;
        this.shape = shape;
        this.voxelSize = voxelSize;
        this.contrast = contrast;
    }

    /** A volume of one tomogram, n = 1, with its voxel size and contrast. */
    public static Tomogram inMemory(Subtomograms volume) {
        return new Tomogram(Objects.requireNonNull(volume, "volume"), null, null, 0, Contrast.UNKNOWN);
    }

    /**
     * A tomogram of z slices with y rows and x columns, which {@code reader} fetches region by region.
     *
     * @param voxelSize edge of a voxel in angstrom; 0 = unknown
     */
    public static Tomogram readBy(TomogramReader reader, long z, long y, long x, double voxelSize, Contrast contrast) {
        Objects.requireNonNull(reader, "reader");
        Objects.requireNonNull(contrast, "contrast");
        return new Tomogram(null, reader, new long[] {z, y, x}, voxelSize, contrast);
    }
}
