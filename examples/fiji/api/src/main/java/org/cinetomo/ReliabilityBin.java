package org.cinetomo;

/** Subtomograms whose highest probability lies in one range. */
public final class ReliabilityBin {
    /** Length of a row of numbers. */
    static final int N_NUMBERS = 5;

    /** Lower end, excluded (0 itself belongs to the first bin). */
    public final double low;
    /** Upper end, included. */
    public final double high;
    /** Number of these subtomograms. */
    public final long n;
    /** Mean of their highest probabilities; NaN if there are none. */
    public final double confidence;
    /** Fraction of them whose highest probability is at the label; NaN if there are none. */
    public final double accuracy;

    ReliabilityBin(double[] row) {
        low = row[0];
        high = row[1];
        n = (long) row[2];
        confidence = row[3];
        accuracy = row[4];
    }
}
