package org.cinetomo;

import java.lang.ref.Cleaner;
import java.util.function.LongConsumer;

/** A number that the native side gave out: freed once, by {@code close} or after its owner has become unreachable. */
final class Handle {
    private static final Cleaner CLEANER = Cleaner.create();

    private final long number;
    private final Cleaner.Cleanable cleanable;

    Handle(Object owner, long number, LongConsumer free) {
        this.number = number;
        cleanable = CLEANER.register(owner, () -> free.accept(number));
    }

    long number() {
        return number;
    }

    void close() {
        cleanable.clean();
    }
}
