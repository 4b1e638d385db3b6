package org.cinetomo;

/** What a model is; see cinetomo_model_info in cinetomo.h. */
public final class ModelInfo {
    /** Name of the network. */
    public final String backbone;
    /** Names of the classes: label i means the i-th. */
    public final String[] classNames;
    /** Names of the network's stages from input to output. */
    public final String[] stageNames;
    /** Length of an embedding. */
    public final long nFeatures;
    /** Trainable numbers in the network and its head. */
    public final long nParameters;
    /** Network input along z, y, x; 0 = as the subtomograms come. */
    public final long[] inputSize;
    /** Edge in angstrom of the voxels that it was fine-tuned on; 0 = unknown. */
    public final double voxelSize;
    /** Sign of the particles that it was fine-tuned on. */
    public final Contrast contrast;
    /** SHA-256 of the video checkpoint; empty for a random start. */
    public final String checkpointSha256;
    /** What the model file says of the model, as JSON. */
    public final String metadataJson;

    ModelInfo(
            String backbone,
            String[] classNames,
            String[] stageNames,
            long nFeatures,
            long nParameters,
            long[] inputSize,
            double voxelSize,
            int contrast,
            String checkpointSha256,
            String metadataJson) {
        this.backbone = backbone;
        this.classNames = classNames;
        this.stageNames = stageNames;
        this.nFeatures = nFeatures;
        this.nParameters = nParameters;
        this.inputSize = inputSize;
        this.voxelSize = voxelSize;
        this.contrast = Contrast.of(contrast);
        this.checkpointSha256 = checkpointSha256;
        this.metadataJson = metadataJson;
    }
}
