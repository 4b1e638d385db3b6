package org.cinetomo;

/** What a model says of n subtomograms. */
public final class Predictions {
    /** Rejects where the most probable class is not probable enough: likely mistakes. */
    public static final int BY_PROBABILITY = 1;
    /** Rejects what is too far from all classes of the training: what belongs to none of them. */
    public static final int BY_DISTANCE = 2;

    /** The most probable class of each, -1 where it was rejected. */
    public final int[] labels;
    /** Probabilities, one row of all classes per subtomogram. */
    public final float[] probabilities;
    /** Mahalanobis distance of each from the nearest class; null unless rejection by distance was asked for. */
    public final float[] distances;

    Predictions(int[] labels, float[] probabilities, float[] distances) {
        this.labels = labels;
        this.probabilities = probabilities;
        this.distances = distances;
    }
}
