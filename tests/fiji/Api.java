import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.cinetomo.CalibrationOptions;
import org.cinetomo.Cinetomo;
import org.cinetomo.CinetomoException;
import org.cinetomo.ClassMetrics;
import org.cinetomo.Confidence;
import org.cinetomo.Contrast;
import org.cinetomo.Evaluation;
import org.cinetomo.ExtractOptions;
import org.cinetomo.Extracted;
import org.cinetomo.FineTuneOptions;
import org.cinetomo.Model;
import org.cinetomo.ModelOptions;
import org.cinetomo.Part;
import org.cinetomo.Pick;
import org.cinetomo.PickOptions;
import org.cinetomo.Predictions;
import org.cinetomo.Preset;
import org.cinetomo.ReliabilityBin;
import org.cinetomo.Resampling;
import org.cinetomo.RocPoint;
import org.cinetomo.Simulated;
import org.cinetomo.SplitOptions;
import org.cinetomo.Status;
import org.cinetomo.Subtomograms;
import org.cinetomo.SyntheticOptions;
import org.cinetomo.Tomogram;
import org.cinetomo.TomogramReader;
import org.cinetomo.VoxelType;

/** What stands around training: evaluation, splits, calibration, simulation, picking and boxes, against numbers by hand. */
public final class Api {
    private static final int EDGE = 16;
    private static final int SIZE = 64;

    private Api() {}

    public static void main(String[] arguments) {
        try (Cinetomo cinetomo = new Cinetomo()) {
            evaluation(cinetomo);
            splits(cinetomo);
            calibration(cinetomo);
            simulation(cinetomo);
            picking(cinetomo);
            threads(cinetomo);
        }
        System.out.println("ok");
    }

    private static void evaluation(Cinetomo cinetomo) {
        float[] scores = {0.9f, 0.1f, 0.6f, 0.4f, 0.2f, 0.8f, 0.7f, 0.3f, 0.5f, 0.5f};
        int[] labels = {0, 0, 1, 1, -1};
        Evaluation found = cinetomo.evaluate(scores, labels, 2);
        check(found.nEvaluated == 4 && found.accuracy == 0.75, "accuracy " + found.accuracy);
        // Scores of class 1: 0.8 and 0.3 against 0.1 and 0.4; three pairs of four are in order.
        check(Math.abs(found.macroAuc - 0.75) < 1e-9, "AUC " + found.macroAuc);
        check(Arrays.deepEquals(found.confusion, new long[][] {{2, 0}, {1, 1}}), Arrays.deepToString(found.confusion));
        double brier = (2 * 0.01 + 2 * 0.16 + 2 * 0.04 + 2 * 0.49) / 4;
        check(Math.abs(found.brierScore - brier) < 1e-6, "Brier " + found.brierScore);
        List<ClassMetrics> classes = cinetomo.evaluateClasses(scores, labels, 2);
        check(classes.size() == 2 && classes.get(0).nPredicted == 3 && classes.get(1).recall == 0.5, "classes");
        check(Math.abs(classes.get(0).precision - 2.0 / 3) < 1e-9, "precision");
        List<RocPoint> roc = cinetomo.evaluateRoc(scores, labels, 2, 1);
        check(Double.isInfinite(roc.get(0).threshold), "the first point");
        RocPoint last = roc.get(roc.size() - 1);
        check(last.truePositiveRate == 1 && last.falsePositiveRate == 1, "the last point");
        List<ReliabilityBin> bins = cinetomo.evaluateReliability(scores, labels, 2, 10);
        check(bins.size() == 10 && bins.stream().mapToLong(bin -> bin.n).sum() == 4, "bins");
        expect(Status.INVALID_ARGUMENT, "-1", () -> cinetomo.evaluate(scores, labels, -1));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.evaluate(scores, new int[3], 2));
        expect(Status.NULL_ARGUMENT, "labels", () -> cinetomo.evaluate(scores, null, 2));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.evaluateRoc(scores, labels, 2, 2));
    }

    private static void splits(Cinetomo cinetomo) {
        int[] labels = new int[41];
        int[] tomograms = new int[41];
        for (int i = 0; i < labels.length; i++) {
            labels[i] = i == 40 ? -1 : i % 2;
            tomograms[i] = i / 4;
        }
        SplitOptions options = new SplitOptions().seed(3);
        Part[] parts = cinetomo.split(labels, null, options);
        check(parts[40] == Part.NONE && count(parts, Part.TEST) == 8 && count(parts, Part.TRAINING) == 24, Arrays.toString(parts));
        Part[] grouped = cinetomo.split(labels, tomograms, options);
        for (int i = 0; i < 40; i++) {
            check(grouped[i] == grouped[i / 4 * 4], "a tomogram is in two parts");
        }
        expect(Status.INVALID_ARGUMENT, "3 groups for 41 labels", () -> cinetomo.split(labels, new int[3], options));
        expect(Status.INVALID_ARGUMENT, "there is no option \"parts\"", () -> cinetomo.split(labels, null, new SplitOptions().set("parts", 2)));
    }

    private static long count(Part[] parts, Part wanted) {
        return Arrays.stream(parts).filter(part -> part == wanted).count();
    }

    private static void calibration(Cinetomo cinetomo) {
        int[] labels = new int[24];
        Arrays.setAll(labels, i -> i % 2);
        Simulated simulated = cinetomo.simulate(null, labels, options().snr(1), null);
        Subtomograms boxes = Subtomograms.copyOf(simulated.voxels, labels.length, EDGE, EDGE, EDGE).contrast(Contrast.DARK);
        try (Model model = cinetomo.modelRandom(new ModelOptions("a", "b").set("n_views", 1));
                Model calibrated = model.calibrate(boxes, labels, new CalibrationOptions().coverage(0.5), progress -> true)) {
            check(model.confidence().nCalibration == 0 && Double.isNaN(model.confidence().probability.value), "before");
            Confidence confidence = calibrated.confidence();
            check(confidence.nCalibration == 24 && confidence.temperature > 0, "after");
            check(confidence.probability.nAccepted >= 12, "accepts " + confidence.probability.nAccepted);
            int[] found = calibrated.predict(boxes, Predictions.BY_PROBABILITY, null).labels;
            // Of equal probabilities all are accepted.
            long accepted = Arrays.stream(found).filter(label -> label >= 0).count();
            check(accepted >= confidence.probability.nAccepted && accepted < 24, accepted + " of " + confidence.probability.nAccepted);
            expect(Status.INVALID_ARGUMENT, "", () -> model.calibrate(boxes, labels, new CalibrationOptions().precision(2), null));
        }
        // The paper's preprocessing is another one than the default's.
        try (Model ours = cinetomo.modelRandom(new ModelOptions("a", "b"));
                Model paper = cinetomo.modelRandom(new ModelOptions("a", "b").preset(Preset.PAPER_VIDEO))) {
            String[] documents = {ours.info().metadataJson, paper.info().metadataJson};
            check(!documents[0].equals(documents[1]), "a preset changes the preprocessing");
            check(!Arrays.equals(ours.classify(boxes, null), paper.classify(boxes, null)), "and so the probabilities");
        }
    }

    private static SyntheticOptions options() {
        return new SyntheticOptions().boxSize(EDGE).voxelSize(20).seed(5);
    }

    private static void simulation(Cinetomo cinetomo) {
        List<String> names = cinetomo.phantomNames();
        check(names.size() >= 2 && !names.get(0).isEmpty(), names.toString());
        float[] density = cinetomo.phantomDensity(1, EDGE, 20);
        check(density.length == EDGE * EDGE * EDGE, "a cube");
        int[] labels = {1, 0, 1};
        Simulated one = cinetomo.simulate(null, labels, options(), null);
        Simulated again = cinetomo.simulate(null, labels, options(), progress -> true);
        check(one.voxels.length == 3 * EDGE * EDGE * EDGE && Arrays.equals(one.voxels, again.voxels), "same seed");
        check(one.particles.size() == 3 && one.particles.get(0).label == 1, "particles");
        double[] r = one.particles.get(0).rotation;
        double determinant =
                r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) + r[2] * (r[3] * r[7] - r[4] * r[6]);
        check(Math.abs(determinant - 1) < 1e-6, "a rotation");
        // Densities of one's own: two cubes.
        float[] two = new float[2 * EDGE * EDGE * EDGE];
        System.arraycopy(density, 0, two, 0, density.length);
        System.arraycopy(density, 0, two, density.length, density.length);
        Subtomograms densities = Subtomograms.copyOf(two, 2, EDGE, EDGE, EDGE);
        check(cinetomo.simulate(densities, labels, options(), null).voxels.length == one.voxels.length, "densities");
        check(cinetomo.simulate(null, labels, SyntheticOptions.liu2020().boxSize(EDGE).voxelSize(20), null).voxels.length > 0, "Liu");
        expect(Status.CANCELLED, "", () -> cinetomo.simulate(null, labels, options(), progress -> false));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.simulate(null, new int[] {99}, options(), null));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.phantomDensity(-1, EDGE, 20));
    }

    private static void picking(Cinetomo cinetomo) {
        // Three bright balls on zero.
        int[][] centres = {{20, 16, 40}, {40, 44, 20}, {16, 48, 48}};
        float[] voxels = new float[SIZE * SIZE * SIZE];
        for (int[] centre : centres) {
            for (int z = -3; z <= 3; z++) {
                for (int y = -3; y <= 3; y++) {
                    for (int x = -3; x <= 3; x++) {
                        if (z * z + y * y + x * x <= 9) {
                            voxels[((centre[0] + z) * SIZE + centre[1] + y) * SIZE + centre[2] + x] = 1;
                        }
                    }
                }
            }
        }
        ByteBuffer buffer = Subtomograms.allocate(VoxelType.F32, voxels.length);
        buffer.asFloatBuffer().put(voxels);
        Subtomograms whole = new Subtomograms(buffer, VoxelType.F32, 1, SIZE, SIZE, SIZE).voxelSize(10).contrast(Contrast.BRIGHT);
        AtomicInteger reads = new AtomicInteger();
        TomogramReader reader =
                (z0, y0, x0, nz, ny, nx) -> {
                    reads.incrementAndGet();
                    float[] out = new float[nz * ny * nx];
                    for (int z = 0; z < nz; z++) {
                        for (int y = 0; y < ny; y++) {
                            int from = (int) (((z0 + z) * SIZE + y0 + y) * SIZE + x0);
                            System.arraycopy(voxels, from, out, (z * ny + y) * nx, nx);
                        }
                    }
                    return out;
                };
        PickOptions options = new PickOptions().particleDiameter(60).minDistance(8).nMax(3);
        Tomogram pieces = Tomogram.readBy(reader, SIZE, SIZE, SIZE, 10, Contrast.BRIGHT);
        List<Pick> inMemory = cinetomo.pick(Tomogram.inMemory(whole), options, null);
        List<Pick> read = cinetomo.pick(pieces, options, progress -> true);
        check(inMemory.size() == 3 && read.size() == 3 && reads.get() > 0, inMemory.size() + " picks");
        float[][] positions = new float[3][];
        for (int i = 0; i < 3; i++) {
            Pick pick = inMemory.get(i);
            positions[i] = pick.position();
            check(Arrays.equals(pick.position(), read.get(i).position()) && pick.score == read.get(i).score, "the same picks");
            check(Arrays.stream(centres).anyMatch(c -> Math.abs(c[0] - pick.z) + Math.abs(c[1] - pick.y) + Math.abs(c[2] - pick.x) < 1),
                    Arrays.toString(pick.position()));
        }
        ExtractOptions cut = new ExtractOptions().boxSize(8).resampling(Resampling.NEAREST);
        Extracted boxes = cinetomo.extract(pieces, positions, cut, null);
        check(boxes.voxels.length == 3 * 8 * 8 * 8 && Arrays.equals(boxes.indices, new long[] {0, 1, 2}), "three boxes");
        check(boxes.voxels[(4 * 8 + 4) * 8 + 4] == 1 && boxes.voxels[0] == 0, "a ball in the middle");

        RuntimeException mine = new RuntimeException("the disk is gone");
        Tomogram failing =
                Tomogram.readBy(
                        (z0, y0, x0, nz, ny, nx) -> {
                            throw mine;
                        },
                        SIZE, SIZE, SIZE, 10, Contrast.BRIGHT);
        try {
            cinetomo.pick(failing, options, null);
            check(false, "a reader that throws");
        } catch (RuntimeException thrown) {
            check(thrown == mine, thrown.toString());
        }
        Tomogram shortened = Tomogram.readBy((z0, y0, x0, nz, ny, nx) -> new float[5], SIZE, SIZE, SIZE, 10, Contrast.BRIGHT);
        try {
            cinetomo.extract(shortened, positions, cut, null);
            check(false, "a reader that gives too few voxels");
        } catch (IllegalArgumentException thrown) {
            check(thrown.getMessage().contains("5 voxels"), thrown.getMessage());
        }
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.extract(pieces, new float[][] {{Float.NaN, 0, 0}}, cut, null));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.pick(pieces, new PickOptions().nMax(-1), null));
    }

    /** A model for each thread; and one that another thread stops. */
    private static void threads(Cinetomo cinetomo) {
        int[] labels = {0, 1, 0, 1};
        Simulated simulated = cinetomo.simulate(null, labels, options(), null);
        Subtomograms boxes = Subtomograms.copyOf(simulated.voxels, labels.length, EDGE, EDGE, EDGE);
        boolean same =
                IntStream.range(0, 4)
                        .parallel()
                        .allMatch(
                                seed -> {
                                    ModelOptions options = new ModelOptions("a", "b").set("seed", seed).set("n_views", 1);
                                    try (Model mine = cinetomo.modelRandom(options)) {
                                        return Arrays.equals(mine.classify(boxes, null), mine.classify(boxes, null));
                                    }
                                });
        check(same, "models of several threads");
        AtomicBoolean stop = new AtomicBoolean();
        try (Model model = cinetomo.modelRandom(new ModelOptions("a", "b"))) {
            new Thread(() -> stop.set(true)).start();
            FineTuneOptions endless = new FineTuneOptions().nEpochs(100_000);
            expect(Status.CANCELLED, "", () -> model.fineTune(boxes, labels, endless, progress -> !stop.get()));
        }
    }

    private static void expect(Status status, String part, Runnable wrong) {
        try {
            wrong.run();
        } catch (CinetomoException error) {
            boolean fits = error.status() == status && error.getMessage().contains(part);
            check(fits, error.status() + " instead of " + status + ": " + error.getMessage());
            return;
        }
        throw new AssertionError("no exception where " + status + " was expected");
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
