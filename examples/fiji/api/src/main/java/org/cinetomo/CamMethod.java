package org.cinetomo;

/** How a map of evidence is made. The order is that of the numbers in cinetomo.h. */
public enum CamMethod {
    /** By the mean gradient of the class's logit (Selvaraju et al. 2017). */
    GRAD_CAM,
    /** So that the map adds up to what the logit responds by (Zhao et al. 2018); for networks with convolutions. */
    RESPOND_CAM
}
