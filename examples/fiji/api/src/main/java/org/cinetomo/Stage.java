package org.cinetomo;

/** What a call is doing. The order is that of the numbers in cinetomo.h. */
public enum Stage {
    /** Reading a checkpoint. */
    LOAD,
    /** Computing features. */
    FEATURES,
    /** Fitting a linear head. */
    PROBE,
    /** Estimating BatchNorm statistics. */
    RECALIBRATE,
    /** Training. */
    TRAIN,
    /** Validating. */
    VALIDATE,
    /** Classifying. */
    CLASSIFY,
    /** Computing embeddings. */
    EMBED,
    /** Simulating subtomograms or a tomogram. */
    SIMULATE,
    /** Picking particles. */
    PICK,
    /** Cutting boxes out of a tomogram. */
    EXTRACT,
    /** Explaining predictions. */
    EXPLAIN,
    /** Projecting embeddings into the plane. */
    PROJECT
}
