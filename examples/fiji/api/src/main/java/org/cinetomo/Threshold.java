package org.cinetomo;

/** A threshold of a rule, and what it did on the labelled subtomograms that it was chosen on. */
public final class Threshold {
    /** The last value that is accepted; NaN = the rule has no threshold. */
    public final double value;
    /** Subtomograms that it accepts. */
    public final long nAccepted;
    /** Those of them that are classified correctly. */
    public final long nCorrect;
    /** Lower end of the 95 % interval of the precision (Wilson 1927). */
    public final double precisionLow;
    /** Its upper end. */
    public final double precisionHigh;

    Threshold(double[] numbers, int start) {
        value = numbers[start];
        nAccepted = (long) numbers[start + 1];
        nCorrect = (long) numbers[start + 2];
        precisionLow = numbers[start + 3];
        precisionHigh = numbers[start + 4];
    }
}
