package org.cinetomo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;

/** Tables as the native side hands them over: numbers, row by row. */
final class Rows {
    private Rows() {}

    static <T> List<T> of(double[] numbers, int width, Function<double[], T> row) {
        List<T> rows = new ArrayList<>(numbers.length / width);
        for (int start = 0; start < numbers.length; start += width) {
            rows.add(row.apply(Arrays.copyOfRange(numbers, start, start + width)));
        }
        return Collections.unmodifiableList(rows);
    }
}
