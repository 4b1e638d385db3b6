package org.cinetomo;

/** A particle that was picked. */
public final class Pick {
    /** Length of a row of numbers. */
    static final int N_NUMBERS = 4;

    /** Slice, counted from the centre of the first voxel, as the other two. */
    public final float z;
    /** Row. */
    public final float y;
    /** Column. */
    public final float x;
    /** More is better. */
    public final float score;

    /** As {@link Cinetomo#extract} takes it. */
    public float[] position() {
        return new float[] {z, y, x};
    }

    Pick(float z, float y, float x, float score) {
        this.z = z;
        this.y = y;
        this.x = x;
        this.score = score;
    }
}
