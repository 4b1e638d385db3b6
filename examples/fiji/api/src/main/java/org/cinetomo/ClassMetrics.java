package org.cinetomo;

/** What labels say of the scores of one class; see cinetomo_class_metrics in cinetomo.h. */
public final class ClassMetrics {
    /** Length of a row of numbers. */
    static final int N_NUMBERS = 6;

    /** Subtomograms with this label. */
    public final long nExamples;
    /** Subtomograms whose highest score is at this class. */
    public final long nPredicted;
    /** Of those predicted, the fraction that has this label. */
    public final double precision;
    /** Of those with this label, the fraction that was predicted. */
    public final double recall;
    /** Harmonic mean of precision and recall. */
    public final double f1;
    /** Area under the ROC curve of this class's score; NaN unless there are examples and counterexamples. */
    public final double auc;

    ClassMetrics(double[] row) {
        nExamples = (long) row[0];
        nPredicted = (long) row[1];
        precision = row[2];
        recall = row[3];
        f1 = row[4];
        auc = row[5];
    }
}
