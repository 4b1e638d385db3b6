package org.cinetomo;

import java.util.List;

/** Simulated voxels, and what is in them. */
public final class Simulated {
    /** Voxels, x fastest: of one subtomogram after the other, or of the tomogram. */
    public final float[] voxels;
    /** The particles: of each subtomogram its own and then its neighbours, or those of the tomogram. */
    public final List<SyntheticParticle> particles;

    Simulated(float[] voxels, double[] particles) {
        this.voxels = voxels;
        this.particles = Rows.of(particles, SyntheticParticle.N_NUMBERS, SyntheticParticle::new);
    }
}
