package org.cinetomo;

/** Boxes that were cut out of a tomogram. */
public final class Extracted {
    /** Voxels of one box after the other, x fastest. */
    public final float[] voxels;
    /** For each box the index of its position. */
    public final long[] indices;

    Extracted(float[] voxels, long[] indices) {
        this.voxels = voxels;
        this.indices = indices;
    }
}
