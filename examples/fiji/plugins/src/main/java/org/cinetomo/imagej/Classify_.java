package org.cinetomo.imagej;

import ij.IJ;
import ij.ImagePlus;
import ij.Prefs;
import ij.measure.ResultsTable;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.cinetomo.Cinetomo;
import org.cinetomo.LogLevel;
import org.cinetomo.Model;
import org.cinetomo.Predictions;

/** Plugins &gt; Cryo-ET &gt; Classify Subtomograms: the class of every particle of the current image, in the results table. */
public final class Classify_ extends Command {
    private static final String[] REJECT = {"none", "improbable", "foreign", "improbable or foreign"};
    /** Bytes that are copied out of ImageJ at a time. */
    private static final long BLOCK = 256 << 20;

    /** Called by ImageJ. */
    public Classify_() {
        super("Classify Subtomograms");
    }

    @Override
    void run(ImagePlus image) {
        Form form = new Form(title());
        form.file("Model_file", Prefs.get("cinetomo.model", ""));
        askLayout(form, image);
        form.choice("Reject", REJECT);
        askDevice(form);
        if (!form.show()) {
            return;
        }
        Path file = path(form.nextText(), "Model_file");
        Layout layout = new Layout(form, image);
        int reject = form.nextChoice(REJECT);
        try (Cinetomo cinetomo = open(form, LogLevel.WARN);
                Model model = cinetomo.modelLoad(file)) {
            ResultsTable table = classify(model, layout, reject);
            Prefs.set("cinetomo.model", file.toString());
            showResults(table);
        }
    }

    private static ResultsTable classify(Model model, Layout layout, int reject) {
        String[] names = model.info().classNames;
        int n = layout.particles.n;
        int step = (int) Math.max(1, BLOCK / (4 * layout.particles.voxelsPerBox()));
        ResultsTable table = new ResultsTable();
        for (int start = 0; start < n; start += step) {
            int end = Math.min(n, start + step);
            double from = (double) start / n;
            double to = (double) end / n;
            Predictions found =
                    model.predict(
                            layout.read(IntStream.range(start, end).toArray()),
                            reject,
                            progress -> show(progress, from, to));
            for (int i = 0; i < end - start; i++) {
                addRow(table, start + i + 1, names, found, i);
            }
        }
        IJ.showStatus(n + " subtomograms classified");
        return table;
    }

    private static void addRow(ResultsTable table, int particle, String[] names, Predictions found, int row) {
        int best = 0;
        for (int k = 1; k < names.length; k++) {
            if (found.probabilities[row * names.length + k] > found.probabilities[row * names.length + best]) {
                best = k;
            }
        }
        table.addRow();
        table.addValue("particle", particle);
        table.addValue("class", found.labels[row] < 0 ? "" : names[found.labels[row]]);
        table.addValue("probability", found.probabilities[row * names.length + best]);
        for (int k = 0; k < names.length; k++) {
            table.addValue("P(" + names[k] + ")", found.probabilities[row * names.length + k]);
        }
        if (found.distances != null) {
            table.addValue("distance", found.distances[row]);
        }
    }
}
