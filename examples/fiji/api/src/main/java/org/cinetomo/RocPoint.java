package org.cinetomo;

/** A point of a ROC curve. */
public final class RocPoint {
    /** Length of a row of numbers. */
    static final int N_NUMBERS = 3;

    /** The lowest score that counts; infinite in the first point, where none does. */
    public final double threshold;
    /** Fraction of the other subtomograms that count as the class. */
    public final double falsePositiveRate;
    /** Fraction of the class's subtomograms that count as it. */
    public final double truePositiveRate;

    RocPoint(double[] row) {
        threshold = row[0];
        falsePositiveRate = row[1];
        truePositiveRate = row[2];
    }
}
