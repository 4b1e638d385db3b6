package org.cinetomo;

/** How sure a model is, and what that rests on; see cinetomo_confidence in cinetomo.h. */
public final class Confidence {
    /** Labelled subtomograms that the model was calibrated on; 0 = it was not. */
    public final long nCalibration;
    /** What logits are divided by; 1 = the network's own. */
    public final double temperature;
    /** Standard error of the temperature; NaN if none was found. */
    public final double temperatureError;
    /** Mean log loss on those subtomograms at temperature 1, in nats; NaN = not calibrated. */
    public final double logLossBefore;
    /** The same at the model's temperature. */
    public final double logLossAfter;
    /** Lowest probability of the predicted class that is accepted. */
    public final Threshold probability;
    /** Greatest distance from the nearest class that is accepted. */
    public final Threshold distance;
    /** Training subtomograms that the class means come from; 0 = there are none. */
    public final long nClassMeans;

    Confidence(double[] numbers) {
        nCalibration = (long) numbers[0];
        temperature = numbers[1];
        temperatureError = numbers[2];
        logLossBefore = numbers[3];
        logLossAfter = numbers[4];
        probability = new Threshold(numbers, 5);
        distance = new Threshold(numbers, 10);
        nClassMeans = (long) numbers[15];
    }
}
