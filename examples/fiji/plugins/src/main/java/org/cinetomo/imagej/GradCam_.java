package org.cinetomo.imagej;

import ij.IJ;
import ij.ImagePlus;
import ij.ImageStack;
import ij.Prefs;
import ij.gui.ImageRoi;
import ij.gui.Overlay;
import ij.plugin.LutLoader;
import ij.process.FloatProcessor;
import ij.process.LUT;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.cinetomo.CamMethod;
import org.cinetomo.Cinetomo;
import org.cinetomo.GradCamOptions;
import org.cinetomo.LogLevel;
import org.cinetomo.Model;

/**
 * Plugins &gt; Cryo-ET &gt; Show Grad-CAM: where in the boxes the evidence for a class lies, as an overlay of the image or as
 * a stack of its own.
 */
public final class GradCam_ extends Command {
    private static final String[] PARTICLES = {"this one", "all"};
    private static final String[] SHOW = {"overlay", "stack"};
    private static final String[] METHODS = {"grad-cam", "respond-cam"};
    /** Name of the overlay's elements, by which the next call finds them. */
    private static final String NAME = "Grad-CAM";

    /** Called by ImageJ. */
    public GradCam_() {
        super("Show Grad-CAM");
    }

    @Override
    void run(ImagePlus image) {
        Form form = new Form(title());
        form.file("Model_file", Prefs.get("cinetomo.model", ""));
        askLayout(form, image);
        form.choice("Particles", PARTICLES);
        form.text("Class (empty: the most probable)", "");
        form.choice("Method", METHODS);
        form.text("Stage (empty: the network's own)", "");
        form.choice("Show_as", SHOW);
        askDevice(form);
        if (!form.show()) {
            return;
        }
        Path file = path(form.nextText(), "Model_file");
        Layout layout = new Layout(form, image);
        Particles particles = layout.particles;
        boolean all = form.nextChoice(PARTICLES) == 1;
        int[] indices =
                all ? IntStream.range(0, particles.n).toArray()
                        : new int[] {particles.particleOfSlice(image.getCurrentSlice())};
        String className = form.nextText();
        GradCamOptions options = new GradCamOptions();
        options.method = CamMethod.values()[form.nextChoice(METHODS)];
        String stage = form.nextText();
        options.stage = stage.isEmpty() ? null : stage;
        boolean overlay = form.nextChoice(SHOW) == 0;
        float[][] maps = new float[indices.length][];
        try (Cinetomo cinetomo = open(form, LogLevel.WARN);
                Model model = cinetomo.modelLoad(file)) {
            options.classIndex = classIndex(model.info().classNames, className);
            for (int i = 0; i < indices.length; i++) {
                double from = (double) i / indices.length;
                double to = (i + 1.0) / indices.length;
                maps[i] =
                        model.gradCam(
                                layout.read(new int[] {indices[i]}), options, progress -> show(progress, from, to));
            }
        }
        if (overlay) {
            lay(image, particles, indices, maps);
        } else {
            stack(image, particles, maps);
        }
        IJ.showStatus("Grad-CAM of " + indices.length + " subtomograms");
    }

    private static int classIndex(String[] names, String name) {
        if (name.isEmpty()) {
            return -1;
        }
        int index = Arrays.asList(names).indexOf(name);
        if (index < 0) {
            throw new IllegalArgumentException(
                    "there is no class " + name + "; the model's are " + String.join(", ", names));
        }
        return index;
    }

    /** Lays each particle's map over its slices, from clear at 0 to bright at the particle's maximum. */
    private static void lay(ImagePlus image, Particles particles, int[] indices, float[][] maps) {
        Overlay overlay = image.getOverlay() == null ? new Overlay() : image.getOverlay();
        overlay.remove(NAME);
        for (int i = 0; i < indices.length; i++) {
            double maximum = maximum(maps[i]);
            for (int z = 0; z < particles.depth; z++) {
                FloatProcessor slice = slice(particles, maps[i], z);
                slice.setMinAndMax(0, maximum);
                slice.setColorModel(LutLoader.getLut("fire"));
                ImageRoi roi = new ImageRoi(0, 0, slice.convertToRGB());
                roi.setName(NAME);
                roi.setOpacity(0.5);
                roi.setZeroTransparent(true);
                particles.place(roi, indices[i], z);
                overlay.add(roi);
            }
        }
        image.setOverlay(overlay);
        image.updateAndDraw();
    }

    private static void stack(ImagePlus image, Particles particles, float[][] maps) {
        ImageStack stack = new ImageStack(particles.width, particles.height);
        double maximum = 0;
        for (float[] map : maps) {
            maximum = Math.max(maximum, maximum(map));
            for (int z = 0; z < particles.depth; z++) {
                stack.addSlice(slice(particles, map, z));
            }
        }
        ImagePlus result = new ImagePlus("Grad-CAM of " + image.getTitle(), stack);
        result.setDimensions(1, particles.depth, maps.length);
        result.setOpenAsHyperStack(maps.length > 1);
        result.copyScale(image);
        result.setLut(new LUT(LutLoader.getLut("fire"), 0, maximum));
        result.show();
    }

    private static FloatProcessor slice(Particles particles, float[] map, int z) {
        return new FloatProcessor(particles.width, particles.height, particles.slice(map, z));
    }

    private static double maximum(float[] map) {
        double maximum = 0;
        for (float value : map) {
            maximum = Math.max(maximum, value);
        }
        // A map of zeros stays clear.
        return maximum > 0 ? maximum : 1;
    }
}
