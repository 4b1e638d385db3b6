package org.cinetomo.imagej;

import ij.IJ;
import ij.ImagePlus;
import ij.Macro;
import ij.WindowManager;
import ij.measure.ResultsTable;
import ij.plugin.PlugIn;
import ij.plugin.filter.Analyzer;
import java.awt.GraphicsEnvironment;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.List;
import java.util.Locale;
import org.cinetomo.Cinetomo;
import org.cinetomo.CinetomoException;
import org.cinetomo.ContextOptions;
import org.cinetomo.Contrast;
import org.cinetomo.Device;
import org.cinetomo.LogLevel;
import org.cinetomo.Progress;
import org.cinetomo.Status;
import org.cinetomo.Subtomograms;

/** What the commands share: the image, questions about it, the log, the progress bar, and errors that a person can read. */
abstract class Command implements PlugIn {
    private static final String[] CONTRASTS = {"unknown", "dark", "bright"};
    private static final String[] DEVICES = {"auto", "cpu", "cuda"};

    /** Columns of whole numbers. */
    private static final List<String> WHOLE = List.of("particle", "epoch");

    private final String title;

    Command(String title) {
        this.title = title;
    }

    /** Does the work; everything that it throws is shown. */
    abstract void run(ImagePlus image) throws IOException;

    @Override
    public final void run(String argument) {
        ImagePlus image = WindowManager.getCurrentImage();
        if (image == null) {
            IJ.noImage();
            return;
        }
        IJ.resetEscape();
        try {
            run(image);
        } catch (CinetomoException error) {
            if (error.status() == Status.CANCELLED) {
                IJ.showStatus(title + " was stopped");
                Macro.abort();
            } else {
                IJ.error(title, error.getMessage());
            }
        } catch (IllegalArgumentException | IOException | LinkageError error) {
            IJ.error(title, error.getMessage());
        } finally {
            IJ.showProgress(1.0);
        }
    }

    final String title() {
        return title;
    }

    /** Asks how the image holds its particles. */
    static void askLayout(Form form, ImagePlus image) {
        form.number("Box_depth", 0, 0, "slices; 0: frames (T) are particles");
        form.number("Voxel_size", Particles.voxelSize(image), 3, "angstrom; 0: unknown");
        form.choice("Contrast", CONTRASTS);
        form.flag("Flip_rows (an MRC file that Bio-Formats opened)");
    }

    /** The answers to {@code askLayout}. */
    static final class Layout {
        final Particles particles;
        private final double voxelSize;
        private final Contrast contrast;

        Layout(Form form, ImagePlus image) {
            int boxDepth = form.nextInteger();
            voxelSize = form.nextNumber();
            contrast = Contrast.values()[form.nextChoice(CONTRASTS)];
            particles = new Particles(image, boxDepth, form.nextFlag());
        }

        Subtomograms read(int[] indices) {
            return particles.read(indices).voxelSize(voxelSize).contrast(contrast);
        }
    }

    static void askDevice(Form form) {
        form.choice("Device", DEVICES);
    }

    /** A context on the device that was asked for, whose log is ImageJ's. */
    static Cinetomo open(Form form, LogLevel level) {
        ContextOptions options = new ContextOptions();
        options.device = Device.values()[form.nextChoice(DEVICES)];
        options.logLevel = level;
        options.log = (severity, line) -> IJ.log(severity == LogLevel.INFO ? line : severity + ": " + line);
        return new Cinetomo(options);
    }

    static Path path(String text, String what) {
        if (text.isEmpty()) {
            throw new IllegalArgumentException(what + " is missing");
        }
        return Paths.get(text);
    }

    /** Shows progress, between these fractions of the whole; the Escape key stops. */
    static boolean show(Progress progress, double from, double to) {
        IJ.showProgress(from + (to - from) * progress.fraction);
        String what = progress.stage == null ? "" : progress.stage.toString().toLowerCase(Locale.ROOT);
        IJ.showStatus(progress.nEpochs > 0 ? what + ", epoch " + progress.epoch + " of " + progress.nEpochs : what);
        return !IJ.escapePressed();
    }

    /** Makes a table ImageJ's results. Asks before measurements that are not saved are lost. */
    static void showResults(ResultsTable table) {
        if (!Analyzer.resetCounter()) {
            return;
        }
        // This sets the decimal places of all columns to those of measurements.
        Analyzer.setResultsTable(table);
        for (String column : table.getHeadings()) {
            table.setDecimalPlaces(table.getColumnIndex(column), WHOLE.contains(column) ? 0 : 6);
        }
        if (!GraphicsEnvironment.isHeadless()) {
            table.show("Results");
        }
    }
}
