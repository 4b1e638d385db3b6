package org.cinetomo.imagej;

import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A table of texts with a header, separated by tabs or commas (RFC 4180). ImageJ's own reader makes numbers of all texts
 * that can be read as one, and names of structures such as 4e12 are among them.
 */
final class TextTable {
    private final Path file;
    private final List<String> header;
    private final List<List<String>> rows;

    TextTable(Path file) throws IOException {
        this.file = file;
        String text;
        try {
            text = Files.readString(file, StandardCharsets.UTF_8);
        } catch (MalformedInputException error) {
            throw new IOException(file + " is no text in UTF-8", error);
        }
        if (text.startsWith("\uFEFF")) {
            text = text.substring(1);
        }
        char separator = text.lines().findFirst().orElse("").indexOf('\t') >= 0 ? '\t' : ',';
        rows = parse(text, separator);
        if (rows.isEmpty()) {
            throw new IOException(file + " is empty");
        }
        header = rows.remove(0);
    }

    int size() {
        return rows.size();
    }

    /** The index of the first of these columns that is there, or -1. */
    int column(String... names) {
        return Arrays.stream(names).mapToInt(header::indexOf).filter(index -> index >= 0).findFirst().orElse(-1);
    }

    List<String> header() {
        return header;
    }

    /** A cell; empty where the row is short. */
    String get(int row, int column) {
        List<String> cells = rows.get(row);
        return column < cells.size() ? cells.get(column) : "";
    }

    /** The file and a row, for messages. */
    String where(int row) {
        return file + ", row " + (row + 1);
    }

    private static List<List<String>> parse(String text, char separator) {
        List<List<String>> rows = new ArrayList<>();
        List<String> row = new ArrayList<>();
        StringBuilder cell = new StringBuilder();
        boolean quoted = false;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (quoted && c == '"' && i + 1 < text.length() && text.charAt(i + 1) == '"') {
                cell.append(c);
                i++;
            } else if (c == '"' && (quoted || cell.toString().isBlank())) {
                quoted = !quoted;
            } else if (!quoted && (c == separator || c == '\n')) {
                row.add(cell.toString().strip());
                cell.setLength(0);
                if (c == '\n') {
                    row = keep(rows, row);
                }
            } else {
                cell.append(c);
            }
        }
        row.add(cell.toString().strip());
        keep(rows, row);
        return rows;
    }

    /** Adds a row unless its line is empty; returns a new one. */
    private static List<String> keep(List<List<String>> rows, List<String> row) {
        if (row.size() > 1 || !row.get(0).isEmpty()) {
            rows.add(row);
        }
        return new ArrayList<>();
    }
}
