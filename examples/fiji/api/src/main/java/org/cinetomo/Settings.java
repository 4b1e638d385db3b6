package org.cinetomo;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Options by the names that they have in cinetomo.h. What is not set keeps the library's default. */
final class Settings {
    private final Map<String, Double> values = new LinkedHashMap<>();

    void set(String name, double value) {
        values.put(Objects.requireNonNull(name, "name"), value);
    }

    String[] names() {
        return values.keySet().toArray(new String[0]);
    }

    double[] values() {
        return values.values().stream().mapToDouble(Double::doubleValue).toArray();
    }
}
