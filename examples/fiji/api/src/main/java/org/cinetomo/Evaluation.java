package org.cinetomo;

/** What labels say of scores; see cinetomo_metrics in cinetomo.h. */
public final class Evaluation {
    /** Subtomograms that counted: those whose label is not -1. */
    public final long nEvaluated;
    /** Fraction whose highest score is at the label. */
    public final double accuracy;
    /** Area under the ROC curve, one class against the rest, mean over the classes. */
    public final double macroAuc;
    /** Mean recall of the classes that have examples. */
    public final double balancedAccuracy;
    /** Mean F1 of the classes that have examples or were predicted. */
    public final double macroF1;
    /** Expected calibration error; NaN if the scores are no probabilities. */
    public final double expectedCalibrationError;
    /** Brier score, 0 to 2; NaN if the scores are no probabilities. */
    public final double brierScore;
    /** Log loss in nats; NaN if the scores are no probabilities. */
    public final double logLoss;
    /** For two classes, else NaN: accuracy at the threshold that is best on these very labels. Optimistic. */
    public final double bestThresholdAccuracy;
    /** That threshold on the score of class 1. */
    public final double bestThreshold;
    /** Counts, true class along the rows, predicted along the columns. */
    public final long[][] confusion;

    private static final int N_NUMBERS = 10;

    Evaluation(double[] numbers, int nClasses) {
        nEvaluated = (long) numbers[0];
        accuracy = numbers[1];
        macroAuc = numbers[2];
        balancedAccuracy = numbers[3];
        macroF1 = numbers[4];
        expectedCalibrationError = numbers[5];
        brierScore = numbers[6];
        logLoss = numbers[7];
        bestThresholdAccuracy = numbers[8];
        bestThreshold = numbers[9];
        confusion = new long[nClasses][nClasses];
        for (int i = 0; i < nClasses * nClasses; i++) {
            confusion[i / nClasses][i % nClasses] = (long) numbers[N_NUMBERS + i];
        }
    }
}
