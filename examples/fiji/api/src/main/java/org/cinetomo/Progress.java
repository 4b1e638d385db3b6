package org.cinetomo;

/** Where a long call stands; see cinetomo_progress in cinetomo.h. */
public final class Progress {
    /** What is being done; null for a stage that this release does not know. */
    public final Stage stage;
    /** Epoch, counted from 1; 0 outside training. */
    public final int epoch;
    /** Number of epochs; 0 outside training. */
    public final int nEpochs;
    /** Batch within the epoch or call, counted from 1. */
    public final int step;
    /** Number of batches in the epoch or call. */
    public final int nSteps;
    /** How much of the whole call is done, from 0 to 1; never goes back. */
    public final double fraction;
    /** Mean cross-entropy over the epoch so far, in nats, or NaN. */
    public final double loss;
    /** Fraction of the epoch's subtomograms that were classified correctly so far, or NaN. */
    public final double accuracy;
    /** Accuracy on the validation subtomograms after the last finished epoch, or NaN. */
    public final double validationAccuracy;

    Progress(
            int stage,
            int epoch,
            int nEpochs,
            int step,
            int nSteps,
            double fraction,
            double loss,
            double accuracy,
            double validationAccuracy) {
        Stage[] stages = Stage.values();
        this.stage = stage >= 0 && stage < stages.length ? stages[stage] : null;
        this.epoch = epoch;
        this.nEpochs = nEpochs;
        this.step = step;
        this.nSteps = nSteps;
        this.fraction = fraction;
        this.loss = loss;
        this.accuracy = accuracy;
        this.validationAccuracy = validationAccuracy;
    }
}
