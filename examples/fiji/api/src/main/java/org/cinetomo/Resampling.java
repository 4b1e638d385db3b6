package org.cinetomo;

/** How boxes are moved and rescaled. The order is that of the numbers in cinetomo.h. */
public enum Resampling {
    /** All frequencies that tomogram and box can both hold, unweakened. */
    FOURIER,
    /** Trilinear: quick, weakens fine detail. */
    LINEAR,
    /** Positions are rounded and voxels copied; cannot change the voxel size. */
    NEAREST
}
