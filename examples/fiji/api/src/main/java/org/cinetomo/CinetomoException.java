package org.cinetomo;

/** A call failed; the message says what was wrong, the values, and what would be right. */
public final class CinetomoException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int number;

    CinetomoException(int number, String message) {
        super(message);
        this.number = number;
    }

    /** What kind of failure; null for one that this release does not know. */
    public Status status() {
        Status[] known = Status.values();
        return number >= 0 && number < known.length ? known[number] : null;
    }

    /** The number of the status in the C contract. */
    public int statusNumber() {
        return number;
    }
}
