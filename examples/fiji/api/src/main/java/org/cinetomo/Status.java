package org.cinetomo;

/** What went wrong. The order is that of the numbers in cinetomo.h. */
public enum Status {
    /** Done. */
    OK,
    /** A required argument is null. */
    NULL_ARGUMENT,
    /** An argument has a value that makes no sense here. */
    INVALID_ARGUMENT,
    /** A buffer is smaller than the result. */
    BUFFER_TOO_SMALL,
    /** This library, build or process cannot serve the request. */
    UNSUPPORTED,
    /** A voxel, weight or loss is NaN or infinite. */
    NON_FINITE,
    /** A file could not be read or written. */
    IO,
    /** A file is not what it claims to be, or is damaged. */
    FORMAT,
    /** A checkpoint, model file or volume does not fit. */
    MODEL_MISMATCH,
    /** The device that was asked for is not usable. */
    DEVICE_UNAVAILABLE,
    /** Memory ran out. */
    OUT_OF_MEMORY,
    /** A listener stopped the call. */
    CANCELLED,
    /** Another copy of libtorch is already in the process. */
    RUNTIME_CONFLICT,
    /** libtorch failed in a way that no other status describes. */
    BACKEND,
    /** A defect in cinetomo; please report the message. */
    PANIC
}
