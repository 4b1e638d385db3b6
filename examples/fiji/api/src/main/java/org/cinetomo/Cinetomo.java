package org.cinetomo;

import java.lang.ref.Reference;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Where work runs, and the making of models. All threads may use it at once.
 *
 * <pre>{@code
 * try (Cinetomo cinetomo = new Cinetomo();
 *         Model video = cinetomo.modelFromVideo(checkpoint, new ModelOptions("ribosome", "ferritin"), null);
 *         Model tuned = video.fineTune(subtomograms, labels, new FineTuneOptions(), null)) {
 *     float[] probabilities = tuned.classify(others, null);
 * }
 * }</pre>
 *
 * Models stay usable after their context is closed.
 */
public final class Cinetomo implements AutoCloseable {
    private final Handle handle;

    /** Finds and loads the plugin, and takes the device that is best. */
    public Cinetomo() {
        this(new ContextOptions());
    }

    /** Finds and loads the plugin. */
    public Cinetomo(ContextOptions options) {
        String plugin = options.plugin == null ? null : options.plugin.toString();
        long number =
                Native.contextNew(
                        plugin,
                        options.device.ordinal(),
                        options.deviceIndex,
                        options.nThreads,
                        options.logLevel.ordinal(),
                        options.log);
        handle = new Handle(this, number, Native::contextFree);
    }

    /**
     * A network that is initialised from video.
     *
     * @param checkpoint a checkpoint of a network that was trained on Kinetics
     * @param progress may be null
     */
    public Model modelFromVideo(Path checkpoint, ModelOptions options, ProgressListener progress) {
        Objects.requireNonNull(checkpoint, "checkpoint");
        try {
            return new Model(
                    Native.modelFromVideo(
                            handle.number(),
                            checkpoint.toString(),
                            options.backbone,
                            options.classNames.clone(),
                            options.preset.ordinal(),
                            options.settings.names(),
                            options.settings.values(),
                            progress));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** A network that starts from random numbers: the baseline. */
    public Model modelRandom(ModelOptions options) {
        try {
            return new Model(
                    Native.modelRandom(
                            handle.number(),
                            options.backbone,
                            options.classNames.clone(),
                            options.preset.ordinal(),
                            options.settings.names(),
                            options.settings.values()));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** A model from a file that {@link Model#save} wrote. */
    public Model modelLoad(Path file) {
        Objects.requireNonNull(file, "file");
        try {
            return new Model(Native.modelLoad(handle.number(), file.toString()));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Versions and devices: version of cinetomo, version of libtorch, the libtorch in use, its CUDA part, version of the
     * NVIDIA driver's CUDA, and one sentence about what computes here. What is not there is empty.
     */
    public List<String> runtimeInfo() {
        try {
            return Arrays.asList(Native.runtimeInfo(handle.number()));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** What a checkpoint holds, as a JSON object; see cinetomo_weights_inspect in cinetomo.h. */
    public String weightsInspect(Path checkpoint) {
        Objects.requireNonNull(checkpoint, "checkpoint");
        try {
            return Native.weightsInspect(handle.number(), checkpoint.toString());
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Compares scores with labels.
     *
     * @param scores one row of {@code nClasses} per subtomogram, such as {@link Model#classify} gives
     * @param labels one class per subtomogram, counted from 0; -1 leaves it out
     */
    public Evaluation evaluate(float[] scores, int[] labels, int nClasses) {
        try {
            return new Evaluation(Native.evaluate(handle.number(), scores, labels, nClasses), nClasses);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Compares scores with labels class by class; otherwise as {@link #evaluate}. */
    public List<ClassMetrics> evaluateClasses(float[] scores, int[] labels, int nClasses) {
        try {
            double[] numbers = Native.evaluateClasses(handle.number(), scores, labels, nClasses);
            return Rows.of(numbers, ClassMetrics.N_NUMBERS, ClassMetrics::new);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** The ROC curve of a class against the rest; empty if there is none. Otherwise as {@link #evaluate}. */
    public List<RocPoint> evaluateRoc(float[] scores, int[] labels, int nClasses, int classIndex) {
        try {
            double[] numbers = Native.evaluateRoc(handle.number(), scores, labels, nClasses, classIndex);
            return Rows.of(numbers, RocPoint.N_NUMBERS, RocPoint::new);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** The reliability diagram of probabilities, in so many bins; otherwise as {@link #evaluate}. */
    public List<ReliabilityBin> evaluateReliability(
            float[] probabilities, int[] labels, int nClasses, int nBins) {
        try {
            double[] numbers =
                    Native.evaluateReliability(handle.number(), probabilities, labels, nClasses, nBins);
            return Rows.of(numbers, ReliabilityBin.N_NUMBERS, ReliabilityBin::new);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * What each labelled subtomogram is for.
     *
     * @param groups names the tomogram of each, so that none is in two parts; may be null
     */
    public Part[] split(int[] labels, int[] groups, SplitOptions options) {
        try {
            int[] numbers =
                    Native.split(
                            handle.number(),
                            labels,
                            groups,
                            options.settings.names(),
                            options.settings.values());
            return Arrays.stream(numbers).mapToObj(number -> Part.values()[number]).toArray(Part[]::new);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Names of the built-in phantoms, in the order of their labels. */
    public List<String> phantomNames() {
        try {
            return Arrays.asList(Native.phantomNames(handle.number()));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** The density of a built-in phantom in a cube of {@code boxSize} voxels, each of {@code voxelSize} angstrom. */
    public float[] phantomDensity(int phantomIndex, int boxSize, double voxelSize) {
        try {
            return Native.phantomDensity(handle.number(), phantomIndex, boxSize, voxelSize);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Simulates one subtomogram for each label: the density of that index, turned, moved, with missing wedge and noise.
     *
     * @param densities cubes, bright on zero; null = the built-in phantoms
     * @param progress may be null
     */
    public Simulated simulate(
            Subtomograms densities, int[] labels, SyntheticOptions options, ProgressListener progress) {
        try {
            return Native.simulate(
                    handle.number(),
                    densities,
                    labels,
                    options.liu2020,
                    options.settings.names(),
                    options.settings.values(),
                    progress);
        } finally {
            Reference.reachabilityFence(this);
            Reference.reachabilityFence(densities);
        }
    }

    /**
     * Simulates a tomogram of z slices with y rows and x columns, with one particle for each label.
     *
     * @param densities cubes, bright on zero; null = the built-in phantoms
     * @param progress may be null
     */
    public Simulated simulateTomogram(
            Subtomograms densities,
            int[] labels,
            int z,
            int y,
            int x,
            SyntheticOptions options,
            ProgressListener progress) {
        try {
            return Native.simulateTomogram(
                    handle.number(),
                    densities,
                    labels,
                    new long[] {z, y, x},
                    options.liu2020,
                    options.settings.names(),
                    options.settings.values(),
                    progress);
        } finally {
            Reference.reachabilityFence(this);
            Reference.reachabilityFence(densities);
        }
    }

    /**
     * Picks particles, the best first.
     *
     * @param progress may be null
     */
    public List<Pick> pick(Tomogram tomogram, PickOptions options, ProgressListener progress) {
        try {
            float[] numbers =
                    Native.pick(
                            handle.number(),
                            tomogram.voxels,
                            tomogram.reader,
                            tomogram.shape,
                            tomogram.voxelSize,
                            tomogram.contrast.ordinal(),
                            options.settings.names(),
                            options.settings.values(),
                            progress);
            List<Pick> picks = new ArrayList<>(numbers.length / Pick.N_NUMBERS);
            for (int i = 0; i < numbers.length; i += Pick.N_NUMBERS) {
                picks.add(new Pick(numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]));
            }
            return picks;
        } finally {
            Reference.reachabilityFence(this);
            Reference.reachabilityFence(tomogram);
        }
    }

    /**
     * Cuts out boxes around positions, those of picks or of any list.
     *
     * @param positions z, y, x of each in voxels, counted from the centre of the first voxel
     * @param progress may be null
     */
    public Extracted extract(
            Tomogram tomogram, float[][] positions, ExtractOptions options, ProgressListener progress) {
        float[] numbers = new float[3 * positions.length];
        for (int i = 0; i < positions.length; i++) {
            if (positions[i].length != 3) {
                throw new IllegalArgumentException(
                        "position " + i + " has " + positions[i].length + " numbers; it must have 3: z, y, x");
            }
            System.arraycopy(positions[i], 0, numbers, 3 * i, 3);
        }
        try {
            return Native.extract(
                    handle.number(),
                    tomogram.voxels,
                    tomogram.reader,
                    tomogram.shape,
                    tomogram.voxelSize,
                    tomogram.contrast.ordinal(),
                    numbers,
                    options.settings.names(),
                    options.settings.values(),
                    progress);
        } finally {
            Reference.reachabilityFence(this);
            Reference.reachabilityFence(tomogram);
        }
    }

    /** Frees the context; calling it again does nothing. Calls that run on other threads end well. */
    @Override
    public void close() {
        handle.close();
    }
}
