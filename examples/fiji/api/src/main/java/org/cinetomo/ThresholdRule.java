package org.cinetomo;

/** What picks must reach. The order is that of the numbers in cinetomo.h. */
public enum ThresholdRule {
    /** At least m + t (M - m) / 20, of the lowest and the highest score m and M of all peaks (Pei et al. 2016). */
    PEAK_RANGE,
    /** At least t standard deviations above the median, measured by the median absolute deviation. */
    DEVIATIONS,
    /** At least t. */
    SCORE
}
