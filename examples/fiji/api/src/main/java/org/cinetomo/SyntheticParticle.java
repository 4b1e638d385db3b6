package org.cinetomo;

import java.util.Arrays;

/** A particle in a simulated subtomogram or tomogram; see cinetomo_synthetic_particle in cinetomo.h. */
public final class SyntheticParticle {
    /** Length of a row of numbers. */
    static final int N_NUMBERS = 15;

    /** Where its centre lies: z, y, x in voxels, counted from the centre of the first voxel. */
    public final double[] position;
    /** Rotation matrix, row by row, rows and columns in the order z, y, x. */
    public final double[] rotation;
    /** Radius of its bounding sphere in voxels. */
    public final double radius;
    /** SNR, as measured, of the subtomogram or tomogram that it is in. */
    public final double snr;
    /** Which density it is of. */
    public final int label;

    SyntheticParticle(double[] row) {
        position = Arrays.copyOfRange(row, 0, 3);
        rotation = Arrays.copyOfRange(row, 3, 12);
        radius = row[12];
        snr = row[13];
        label = (int) row[14];
    }
}
