package org.cinetomo;

import java.lang.ref.Reference;
import java.nio.file.Path;
import java.util.Objects;

/**
 * A network with its preprocessing and class names. It never changes: fine-tuning returns a new one. All threads may use
 * it; calls on one model take turns. What is thrown is a {@link CinetomoException}, or what a listener has thrown.
 */
public final class Model implements AutoCloseable {
    private final Handle handle;

    Model(long number) {
        handle = new Handle(this, number, Native::modelFree);
    }

    /**
     * A new model, trained on labelled subtomograms.
     *
     * @param labels one class per subtomogram, counted from 0; -1 marks one without label, which is left out
     * @param progress may be null
     */
    public Model fineTune(
            Subtomograms subtomograms, int[] labels, FineTuneOptions options, ProgressListener progress) {
        Objects.requireNonNull(subtomograms, "subtomograms");
        Objects.requireNonNull(labels, "labels");
        String checkpoint = options.checkpoint == null ? null : options.checkpoint.toString();
        try {
            return new Model(
                    Native.modelFineTune(
                            handle.number(),
                            subtomograms,
                            labels,
                            options.preset.ordinal(),
                            options.settings.names(),
                            options.settings.values(),
                            checkpoint,
                            progress));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Class probabilities, one row of {@code classNames.length} per subtomogram.
     *
     * @param progress may be null
     */
    public float[] classify(Subtomograms subtomograms, ProgressListener progress) {
        Objects.requireNonNull(subtomograms, "subtomograms");
        try {
            return Native.modelClassify(handle.number(), subtomograms, progress);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Embeddings, one row of {@code nFeatures} per subtomogram: the network's output before its head.
     *
     * @param progress may be null
     */
    public float[] embed(Subtomograms subtomograms, ProgressListener progress) {
        Objects.requireNonNull(subtomograms, "subtomograms");
        try {
            return Native.modelEmbed(handle.number(), subtomograms, progress);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * The class of each subtomogram, or none where the model is not sure.
     *
     * @param reject a sum of {@link Predictions#BY_PROBABILITY} and {@link Predictions#BY_DISTANCE}, or 0
     * @param progress may be null
     */
    public Predictions predict(Subtomograms subtomograms, int reject, ProgressListener progress) {
        Objects.requireNonNull(subtomograms, "subtomograms");
        try {
            return Native.modelPredict(handle.number(), subtomograms, reject, progress);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Where in each box the evidence for a class lies: as many numbers as voxels, in the same order.
     *
     * @param progress may be null
     */
    public float[] gradCam(Subtomograms subtomograms, GradCamOptions options, ProgressListener progress) {
        Objects.requireNonNull(subtomograms, "subtomograms");
        int rectify = options.rectify == null ? -1 : options.rectify ? 1 : 0;
        try {
            return Native.modelGradCam(
                    handle.number(),
                    subtomograms,
                    options.stage,
                    options.classIndex,
                    options.method.ordinal(),
                    rectify,
                    progress);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * A new model, calibrated on labelled subtomograms that this one was not trained on: its probabilities say how often it
     * is right, and {@link #predict} knows from where on to reject.
     *
     * @param labels one class per subtomogram, counted from 0; -1 marks one without label, which is left out
     * @param progress may be null
     */
    public Model calibrate(
            Subtomograms subtomograms, int[] labels, CalibrationOptions options, ProgressListener progress) {
        Objects.requireNonNull(subtomograms, "subtomograms");
        Objects.requireNonNull(labels, "labels");
        try {
            return new Model(
                    Native.modelCalibrate(
                            handle.number(),
                            subtomograms,
                            labels,
                            options.settings.names(),
                            options.settings.values(),
                            progress));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Its temperature and thresholds, and what they rest on. */
    public Confidence confidence() {
        try {
            return new Confidence(Native.modelConfidence(handle.number()));
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** What the model is. */
    public ModelInfo info() {
        try {
            return Native.modelInfo(handle.number());
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Writes the model to a file; one of that name is replaced once the new one is whole. */
    public void save(Path file) {
        Objects.requireNonNull(file, "file");
        try {
            Native.modelSave(handle.number(), file.toString());
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /** Frees the model; calling it again does nothing. A call that runs on another thread ends well. */
    @Override
    public void close() {
        handle.close();
    }
}
