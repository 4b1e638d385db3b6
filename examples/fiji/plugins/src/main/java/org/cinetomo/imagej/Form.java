package org.cinetomo.imagej;

import ij.Macro;
import ij.gui.GenericDialog;
import ij.macro.Interpreter;
import ij.util.Tools;
import java.awt.GraphicsEnvironment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;

/**
 * The questions of a command: a {@link GenericDialog}, which reads a macro's options and records itself; or, where there is
 * no display, the macro's options alone, read by the same names and rules. Fields are asked for in the order that they were
 * added in. A field's key in macros is its label in lower case.
 */
final class Form {
    private final GenericDialog dialog;
    private final String options;
    private final Deque<Field> fields = new ArrayDeque<>();

    private static final class Field {
        final String label;
        final String value;

        Field(String label, String value) {
            this.label = label;
            this.value = value;
        }
    }

    Form(String title) {
        boolean headless = GraphicsEnvironment.isHeadless();
        dialog = headless ? null : new GenericDialog(title);
        options = headless ? Macro.getOptions() : null;
        if (headless && options == null) {
            throw new IllegalArgumentException(
                    "there is no display to ask on: run this from a macro, run(\"" + title + "\", \"key=value ...\")");
        }
    }

    void file(String label, String preset) {
        if (dialog != null) {
            dialog.addFileField(label, preset, 35);
        }
        fields.add(new Field(label, preset));
    }

    void text(String label, String preset) {
        if (dialog != null) {
            dialog.addStringField(label, preset, 35);
        }
        fields.add(new Field(label, preset));
    }

    void number(String label, double preset, int digits, String unit) {
        if (dialog != null) {
            dialog.addNumericField(label, preset, digits, 8, unit);
        }
        fields.add(new Field(label, Double.toString(preset)));
    }

    void choice(String label, String... choices) {
        if (dialog != null) {
            dialog.addChoice(label, choices, choices[0]);
        }
        fields.add(new Field(label, choices[0]));
    }

    void flag(String label) {
        if (dialog != null) {
            dialog.addCheckbox(label, false);
        }
        fields.add(new Field(label, ""));
    }

    void note(String text) {
        if (dialog != null) {
            dialog.addMessage(text);
        }
    }

    /** Whether the user, or the macro, wants to go on. */
    boolean show() {
        if (dialog == null) {
            return true;
        }
        dialog.showDialog();
        return !dialog.wasCanceled();
    }

    String nextText() {
        Field field = fields.remove();
        return dialog != null ? dialog.getNextString().trim() : option(field).trim();
    }

    double nextNumber() {
        Field field = fields.remove();
        double number;
        if (dialog != null) {
            number = dialog.getNextNumber();
            if (dialog.invalidNumber()) {
                throw new IllegalArgumentException(field.label + ": " + dialog.getErrorMessage());
            }
        } else {
            number = Tools.parseDouble(option(field));
        }
        if (Double.isNaN(number)) {
            throw new IllegalArgumentException(field.label + " is no number");
        }
        return number;
    }

    int nextInteger() {
        String label = fields.element().label;
        double number = nextNumber();
        if (number != (int) number) {
            throw new IllegalArgumentException(label + " is " + number + "; it must be a whole number");
        }
        return (int) number;
    }

    /** The index of the choice. */
    int nextChoice(String... choices) {
        Field field = fields.remove();
        if (dialog != null) {
            return dialog.getNextChoiceIndex();
        }
        String value = option(field);
        int index = Arrays.asList(choices).indexOf(value);
        if (index < 0) {
            throw new IllegalArgumentException(
                    field.label + " is \"" + value + "\"; there are " + String.join(", ", choices));
        }
        return index;
    }

    boolean nextFlag() {
        Field field = fields.remove();
        if (dialog != null) {
            return dialog.getNextBoolean();
        }
        // A flag is a word of its own, outside of what brackets hold.
        String words = " " + options.replaceAll("\\[[^\\]]*\\]", "[]") + " ";
        return words.contains(" " + Macro.trimKey(field.label) + " ");
    }

    /** The value in the macro's options; a variable of the macro where it starts with an ampersand. */
    private String option(Field field) {
        String value = Macro.getValue(options, field.label, field.value);
        if (value.startsWith("&") && Interpreter.getInstance() != null) {
            String variable = Interpreter.getInstance().getVariableAsString(value.substring(1));
            return variable == null ? value : variable;
        }
        return value;
    }
}
