package org.cinetomo;

/** Fetches parts of a tomogram, which so need not fit into memory. */
@FunctionalInterface
public interface TomogramReader {
    /**
     * Voxels of a box, x fastest: {@code nz * ny * nx} of them from slice z0, row y0, column x0 on. Called on the thread
     * that picks or extracts; an exception stops the call and comes out of it.
     */
    float[] read(long z0, long y0, long x0, int nz, int ny, int nx);
}
