package org.cinetomo.imagej;

import ij.IJ;
import ij.ImagePlus;
import ij.Prefs;
import ij.measure.ResultsTable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import org.cinetomo.Cinetomo;
import org.cinetomo.FineTuneOptions;
import org.cinetomo.LogLevel;
import org.cinetomo.Model;
import org.cinetomo.ModelOptions;
import org.cinetomo.Preset;
import org.cinetomo.Progress;

/**
 * Plugins &gt; Cryo-ET &gt; Fine-tune on Labelled Subtomograms: a model for the classes that the user has labelled, saved to a
 * file; the course of the training in the results table.
 */
public final class FineTune_ extends Command {
    private static final String[] STARTS = {"video checkpoint", "model file", "random numbers"};
    private static final String[] LABELS = {"table", "regions"};
    private static final String[] PRESETS =
            Arrays.stream(Preset.values())
                    .map(preset -> preset.name().toLowerCase(Locale.ROOT))
                    .toArray(String[]::new);

    /** Called by ImageJ. */
    public FineTune_() {
        super("Fine-tune on Labelled Subtomograms");
    }

    @Override
    void run(ImagePlus image) throws IOException {
        Form form = new Form(title());
        form.choice("Start_from", STARTS);
        form.file("Start_file", Prefs.get("cinetomo.start", ""));
        form.choice("Labels_from", LABELS);
        form.file("Label_file (CSV: particle, class)", "");
        askLayout(form, image);
        form.choice("Preset", PRESETS);
        form.number("Epochs", -1, 0, "-1: the preset's");
        form.number("Validation", 0, 2, "fraction held out to choose and calibrate by");
        form.number("Seed", 0, 0, "");
        form.text("More_options (name=value ...)", "");
        form.file("Save_model_as", "");
        askDevice(form);
        if (!form.show()) {
            return;
        }
        int start = form.nextChoice(STARTS);
        String startFile = form.nextText();
        boolean regions = form.nextChoice(LABELS) == 1;
        String labelFile = form.nextText();
        Layout layout = new Layout(form, image);
        Preset preset = Preset.values()[form.nextChoice(PRESETS)];
        FineTuneOptions options = new FineTuneOptions(preset);
        int epochs = form.nextInteger();
        if (epochs >= 0) {
            options.nEpochs(epochs);
        }
        options.validationFraction(form.nextNumber()).set("seed", form.nextNumber());
        addOptions(options, form.nextText());
        Path saved = path(form.nextText(), "Save_model_as");

        Labels labels =
                regions
                        ? Labels.fromRois(image, layout.particles)
                        : Labels.fromTable(path(labelFile, "Label_file"), layout.particles.n);
        try (Cinetomo cinetomo = open(form, LogLevel.INFO);
                Model first = startModel(cinetomo, start, startFile, new ModelOptions(labels.classNames()).preset(preset))) {
            int[] particles = labels.labelled();
            int[] classes = labels.indices(particles, first.info().classNames);
            ResultsTable course = new ResultsTable();
            try (Model tuned =
                    first.fineTune(layout.read(particles), classes, options, progress -> note(course, progress))) {
                tuned.save(saved);
            }
            Prefs.set("cinetomo.start", startFile);
            Prefs.set("cinetomo.model", saved.toString());
            showResults(course);
            IJ.showStatus("model saved as " + saved);
        }
    }

    /** A model file keeps its own preprocessing; the others get the preset's. */
    private static Model startModel(Cinetomo cinetomo, int start, String file, ModelOptions options) {
        switch (start) {
            case 0:
                return cinetomo.modelFromVideo(
                        path(file, "Start_file"), options, progress -> show(progress, 0, 0));
            case 1:
                return cinetomo.modelLoad(path(file, "Start_file"));
            default:
                return cinetomo.modelRandom(options);
        }
    }

    /** Options of the C header, as text. */
    private static void addOptions(FineTuneOptions options, String text) {
        for (String option : text.split("\\s+")) {
            if (option.isEmpty()) {
                continue;
            }
            String[] parts = option.split("=", 2);
            try {
                options.set(parts[0], Double.parseDouble(parts[1]));
            } catch (NumberFormatException | ArrayIndexOutOfBoundsException error) {
                throw new IllegalArgumentException("More_options: \"" + option + "\" is not name=number");
            }
        }
    }

    /** Keeps the last word on every epoch. */
    private static boolean note(ResultsTable course, Progress progress) {
        if (progress.epoch > 0 && !Double.isNaN(progress.loss)) {
            if (course.size() == 0 || course.getValue("epoch", course.size() - 1) != progress.epoch) {
                course.addRow();
            }
            int row = course.size() - 1;
            course.setValue("epoch", row, progress.epoch);
            course.setValue("loss", row, progress.loss);
            course.setValue("accuracy", row, progress.accuracy);
            if (!Double.isNaN(progress.validationAccuracy)) {
                course.setValue("validation accuracy", row, progress.validationAccuracy);
            }
        }
        return show(progress, 0, 1);
    }
}
