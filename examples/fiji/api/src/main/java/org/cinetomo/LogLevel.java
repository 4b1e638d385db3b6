package org.cinetomo;

/** How severe a log line is. The order is that of the numbers in cinetomo.h. */
public enum LogLevel {
    /** Nothing is logged. */
    OFF,
    /** The call fails. */
    ERROR,
    /** The call goes on, but the user should know. */
    WARN,
    /** What was chosen and measured. */
    INFO,
    /** Detail for a developer. */
    DEBUG,
    /** Everything. */
    TRACE;

    static LogLevel of(int number) {
        return number >= 0 && number < values().length ? values()[number] : TRACE;
    }
}
