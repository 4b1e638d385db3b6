package org.cinetomo;

/** The native methods, one for each call of the contract, and what they call back. Their other side is src/jni. */
final class Native {
    static {
        NativeLibrary.load();
        // The JVM must not end under the hands of threads that compute.
        Runtime.getRuntime().addShutdownHook(new Thread(Native::shutDown, "cinetomo-shutdown"));
    }

    private Native() {}

    static native void shutDown();

    static native long contextNew(
            String plugin, int device, int deviceIndex, int nThreads, int logLevel, LogListener log);

    static native void contextFree(long context);

    static native String[] runtimeInfo(long context);

    static native String weightsInspect(long context, String path);

    static native long modelFromVideo(
            long context,
            String checkpoint,
            String backbone,
            String[] classNames,
            int preset,
            String[] names,
            double[] values,
            ProgressListener progress);

    static native long modelRandom(
            long context,
            String backbone,
            String[] classNames,
            int preset,
            String[] names,
            double[] values);

    static native long modelLoad(long context, String path);

    static native void modelSave(long model, String path);

    static native void modelFree(long model);

    static native ModelInfo modelInfo(long model);

    static native long modelFineTune(
            long model,
            Subtomograms subtomograms,
            int[] labels,
            int preset,
            String[] names,
            double[] values,
            String checkpoint,
            ProgressListener progress);

    static native float[] modelClassify(long model, Subtomograms subtomograms, ProgressListener progress);

    static native float[] modelEmbed(long model, Subtomograms subtomograms, ProgressListener progress);

    static native Predictions modelPredict(
            long model, Subtomograms subtomograms, int reject, ProgressListener progress);

    static native float[] modelGradCam(
            long model,
            Subtomograms subtomograms,
            String stage,
            int classIndex,
            int method,
            int rectify,
            ProgressListener progress);

    static native long modelCalibrate(
            long model,
            Subtomograms subtomograms,
            int[] labels,
            String[] names,
            double[] values,
            ProgressListener progress);

    static native double[] modelConfidence(long model);

    static native double[] evaluate(long context, float[] scores, int[] labels, int nClasses);

    static native double[] evaluateClasses(long context, float[] scores, int[] labels, int nClasses);

    static native double[] evaluateRoc(
            long context, float[] scores, int[] labels, int nClasses, int classIndex);

    static native double[] evaluateReliability(
            long context, float[] scores, int[] labels, int nClasses, int nBins);

    static native int[] split(long context, int[] labels, int[] groups, String[] names, double[] values);

    static native String[] phantomNames(long context);

    static native float[] phantomDensity(long context, int phantomIndex, int boxSize, double voxelSize);

    static native Simulated simulate(
            long context,
            Subtomograms densities,
            int[] labels,
            boolean liu2020,
            String[] names,
            double[] values,
            ProgressListener progress);

    static native Simulated simulateTomogram(
            long context,
            Subtomograms densities,
            int[] labels,
            long[] shape,
            boolean liu2020,
            String[] names,
            double[] values,
            ProgressListener progress);

    static native float[] pick(
            long context,
            Subtomograms voxels,
            TomogramReader reader,
            long[] shape,
            double voxelSize,
            int contrast,
            String[] names,
            double[] values,
            ProgressListener progress);

    static native Extracted extract(
            long context,
            Subtomograms voxels,
            TomogramReader reader,
            long[] shape,
            double voxelSize,
            int contrast,
            float[] positions,
            String[] names,
            double[] values,
            ProgressListener progress);

    /** Called by the native side; takes numbers alone, so that a long call piles up no references. */
    @SuppressWarnings("unused")
    private static boolean progress(
            ProgressListener listener,
            int stage,
            int epoch,
            int nEpochs,
            int step,
            int nSteps,
            double fraction,
            double loss,
            double accuracy,
            double validationAccuracy) {
        return listener.progressed(
                new Progress(
                        stage, epoch, nEpochs, step, nSteps, fraction, loss, accuracy, validationAccuracy));
    }

    /** Called by the native side. */
    @SuppressWarnings("unused")
    private static void log(LogListener listener, int level, String line) {
        listener.logged(LogLevel.of(level), line);
    }

    /** Called by the native side, which copies as many numbers as it has asked for. */
    @SuppressWarnings("unused")
    private static float[] read(TomogramReader reader, long z0, long y0, long x0, long nz, long ny, long nx) {
        long n = Math.multiplyExact(Math.multiplyExact(nz, ny), nx);
        float[] voxels = reader.read(z0, y0, x0, Math.toIntExact(nz), Math.toIntExact(ny), Math.toIntExact(nx));
        if (voxels == null || voxels.length != n) {
            throw new IllegalArgumentException(
                    "the reader gave " + (voxels == null ? "null" : voxels.length + " voxels") + " for " + nz + " x " + ny
                            + " x " + nx + " from z=" + z0 + ", y=" + y0 + ", x=" + x0);
        }
        return voxels;
    }
}
