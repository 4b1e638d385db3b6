package org.cinetomo;

/** Follows a long call, on the thread that made it. */
@FunctionalInterface
public interface ProgressListener {
    /** Whether to go on; false stops the call with {@link Status#CANCELLED}, an exception stops it and is thrown. */
    boolean progressed(Progress progress);
}
