package org.cinetomo;

import java.lang.ref.Reference;
import java.nio.file.Path;
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

    /** Frees the context; calling it again does nothing. Calls that run on other threads end well. */
    @Override
    public void close() {
        handle.close();
    }
}
