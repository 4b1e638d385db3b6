package org.cinetomo;

/** Where a context computes. The order is that of the numbers in cinetomo.h. */
public enum Device {
    /** CUDA where it is usable, the CPU otherwise. */
    AUTO,
    /** The CPU. */
    CPU,
    /** An NVIDIA GPU, or an exception. */
    CUDA
}
