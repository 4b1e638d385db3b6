package org.cinetomo;

/** Receives log lines, on the thread that makes the call. Exceptions from here are dropped. */
@FunctionalInterface
public interface LogListener {
    /** One line, without line feed. */
    void logged(LogLevel level, String line);
}
