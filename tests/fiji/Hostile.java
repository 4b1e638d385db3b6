import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.cinetomo.Cinetomo;
import org.cinetomo.CinetomoException;
import org.cinetomo.ContextOptions;
import org.cinetomo.Device;
import org.cinetomo.FineTuneOptions;
import org.cinetomo.GradCamOptions;
import org.cinetomo.LogLevel;
import org.cinetomo.Model;
import org.cinetomo.ModelOptions;
import org.cinetomo.ProgressListener;
import org.cinetomo.Status;
import org.cinetomo.Subtomograms;
import org.cinetomo.VoxelType;

/** Everything that a Java program may do wrong; the JVM must live, and what is thrown must say what was wrong. */
public final class Hostile {
    private static final int EDGE = 16;

    private static Cinetomo cinetomo;
    private static Model model;
    private static Subtomograms boxes;

    private Hostile() {}

    /** What is done wrong. */
    private interface Wrong {
        void run() throws Exception;
    }

    /** The argument is a folder to write to. */
    public static void main(String[] arguments) throws Exception {
        ContextOptions options = new ContextOptions();
        options.device = Device.CPU;
        options.logLevel = LogLevel.TRACE;
        // Log listeners may throw; nobody hears of it.
        options.log =
                (level, line) -> {
                    throw new IllegalStateException("log");
                };
        cinetomo = new Cinetomo(options);
        model = cinetomo.modelRandom(new ModelOptions("a", "b").set("n_views", 1));
        boxes = noise(4);

        nativeMethods();
        listeners();
        handles();
        voxels();
        texts(Paths.get(arguments[0]));
        threads();
        forgotten();
        // Still alive, and still right.
        check(model.classify(boxes, null).length == 8, "classifies");
        System.out.println("ok");
    }

    /** Every native method with null and zero for everything, with numbers at random, and from a thread of its own. */
    private static void nativeMethods() throws Exception {
        int n = 0;
        for (Method method : Class.forName("org.cinetomo.Native").getDeclaredMethods()) {
            if (!Modifier.isNative(method.getModifiers()) || method.getName().equals("shutDown")) {
                continue;
            }
            method.setAccessible(true);
            for (long number : new long[] {0, -1, 1, 7, Long.MIN_VALUE, Long.MAX_VALUE}) {
                if (method.getName().endsWith("Free") && number > 0) {
                    continue;
                }
                Class<?>[] types = method.getParameterTypes();
                Object[] values = new Object[types.length];
                for (int i = 0; i < types.length; i++) {
                    values[i] =
                            types[i] == long.class ? (Object) number
                                    : types[i] == int.class ? (Object) (int) number
                                    : types[i] == double.class ? (Object) (double) number
                                    : types[i] == boolean.class ? (Object) (number > 0)
                                            : types[i] == String[].class ? new String[] {null, ""} : null;
                }
                invoke(method, values);
                values = Arrays.stream(types).map(Hostile::nothing).toArray();
                invoke(method, values);
            }
            n++;
        }
        check(n == 28, "there are " + n + " native methods");
    }

    private static Object nothing(Class<?> type) {
        return type == long.class ? (Object) 0L
                : type == int.class ? (Object) 0
                : type == double.class ? (Object) 0.0
                : type == boolean.class ? (Object) false : null;
    }

    private static void invoke(Method method, Object[] values) throws Exception {
        try {
            Object result = method.invoke(null, values);
            if (method.getName().equals("contextNew") && (long) result != 0) {
                return;
            }
            // Small numbers may be contexts and models of this program.
            boolean live = values[0].equals(1L) || values[0].equals(7L);
            boolean fine = method.getName().endsWith("Free") || live;
            check(fine, method.getName() + " takes nothing for something");
        } catch (InvocationTargetException error) {
            check(error.getCause() instanceof CinetomoException, method.getName() + ": " + error.getCause());
        }
    }

    @SuppressWarnings("try") // closes resources early, on purpose
    private static void listeners() {
        expect(Status.CANCELLED, "stopped", () -> model.classify(boxes, progress -> false));
        RuntimeException runtime = new RuntimeException();
        RuntimeException rude =
                new RuntimeException() {
                    private static final long serialVersionUID = 1L;

                    @Override
                    public String getMessage() {
                        throw new IllegalStateException("no message");
                    }

                    @Override
                    public StackTraceElement[] getStackTrace() {
                        throw new IllegalStateException("no trace");
                    }
                };
        for (Throwable thrown : new Throwable[] {runtime, rude, new OutOfMemoryError("mine"), new Exception("checked")}) {
            ProgressListener listener =
                    progress -> {
                        Hostile.<RuntimeException>sneak(thrown);
                        return true;
                    };
            thrownIs(thrown, () -> model.classify(boxes, listener));
            thrownIs(thrown, () -> model.fineTune(boxes, new int[] {0, 1, 0, 1}, new FineTuneOptions().nEpochs(2), listener));
        }
        try {
            model.classify(boxes, progress -> endless(0) > 0);
            check(false, "a stack overflows");
        } catch (StackOverflowError error) {
            // As it should.
        }
        // A listener that calls the model at work gets an error, and may go on; another model is free.
        AtomicInteger calls = new AtomicInteger();
        try (Model other = cinetomo.modelRandom(new ModelOptions("a", "b"))) {
            model.classify(
                    boxes,
                    progress -> {
                        calls.incrementAndGet();
                        expect(Status.INVALID_ARGUMENT, "", () -> model.classify(boxes, null));
                        check(other.info().classNames.length == 2, "another model answers");
                        System.gc();
                        return true;
                    });
        }
        check(calls.get() > 0, "the listener is called");
        // A listener that closes everything under the call.
        try (Cinetomo context = new Cinetomo();
                Model closed = context.modelRandom(new ModelOptions("a", "b"))) {
            float[] all =
                    closed.classify(
                            boxes,
                            progress -> {
                                closed.close();
                                context.close();
                                System.gc();
                                return true;
                            });
            check(all.length == 8, "the call ends well");
        }
    }

    private static int endless(int depth) {
        return endless(depth + 1) + 1;
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    private static void handles() {
        Model closed = cinetomo.modelRandom(new ModelOptions("a", "b"));
        closed.close();
        closed.close();
        expect(Status.INVALID_ARGUMENT, "this Model is closed", closed::info);
        expect(Status.INVALID_ARGUMENT, "this Model is closed", () -> closed.classify(boxes, null));
        Cinetomo context = new Cinetomo();
        context.close();
        context.close();
        expect(Status.INVALID_ARGUMENT, "this Cinetomo is closed", context::runtimeInfo);
        // A model outlives its context.
        Cinetomo brief = new Cinetomo();
        Model kept = brief.modelRandom(new ModelOptions("a", "b"));
        brief.close();
        check(kept.classify(boxes, null).length == 8, "a model outlives its context");
        kept.close();
    }

    private static void voxels() {
        ByteBuffer heap = ByteBuffer.allocate(4 * EDGE * EDGE * EDGE);
        illegal("direct", () -> new Subtomograms(heap, VoxelType.F32, 1, EDGE, EDGE, EDGE));
        ByteOrder other =
                ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
        ByteBuffer foreign = ByteBuffer.allocateDirect(4 * EDGE * EDGE * EDGE).order(other);
        illegal("byte order", () -> new Subtomograms(foreign, VoxelType.F32, 1, EDGE, EDGE, EDGE));
        illegal("use several", () -> Subtomograms.allocate(VoxelType.F32, 1L << 30));
        ByteBuffer empty = ByteBuffer.allocateDirect(0).order(ByteOrder.nativeOrder());
        expect(
                Status.INVALID_ARGUMENT,
                "no voxels",
                () -> model.classify(new Subtomograms(empty, VoxelType.F32, 0, EDGE, EDGE, EDGE), null));
        ByteBuffer voxels = Subtomograms.allocate(VoxelType.F32, EDGE * EDGE * EDGE);
        int[][] shapes = {
            {2, EDGE, EDGE, EDGE},
            {1, EDGE, EDGE, EDGE + 1},
            {-1, EDGE, EDGE, EDGE},
            {0, 0, 0, 0},
            {Integer.MAX_VALUE, Integer.MAX_VALUE, Integer.MAX_VALUE, Integer.MAX_VALUE},
            {Integer.MIN_VALUE, 1, 1, 1},
        };
        for (int[] shape : shapes) {
            Subtomograms wrong = new Subtomograms(voxels, VoxelType.F32, shape[0], shape[1], shape[2], shape[3]);
            expect(Status.INVALID_ARGUMENT, "", () -> model.classify(wrong, null));
        }
        // What lies before the position and behind the limit is no part of it.
        voxels.position(4);
        Subtomograms less = new Subtomograms(voxels, VoxelType.F32, 1, EDGE, EDGE, EDGE);
        expect(Status.INVALID_ARGUMENT, "", () -> model.classify(less, null));
        expect(Status.INVALID_ARGUMENT, "", () -> model.fineTune(boxes, new int[3], new FineTuneOptions(), null));
        expect(Status.INVALID_ARGUMENT, "", () -> model.fineTune(boxes, new int[] {0, 1, 2, 0}, new FineTuneOptions(), null));
        expect(Status.INVALID_ARGUMENT, "", () -> model.predict(boxes, 77, null));
        GradCamOptions strange = new GradCamOptions();
        for (int index : new int[] {2, -2, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            strange.classIndex = index;
            expect(Status.INVALID_ARGUMENT, "", () -> model.gradCam(boxes, strange, null));
        }
        GradCamOptions nowhere = new GradCamOptions();
        nowhere.stage = "nowhere";
        expect(Status.INVALID_ARGUMENT, "nowhere", () -> model.gradCam(boxes, nowhere, null));
        float[] nan = new float[EDGE * EDGE * EDGE];
        Arrays.fill(nan, Float.NaN);
        expect(Status.NON_FINITE, "", () -> model.classify(Subtomograms.copyOf(nan, 1, EDGE, EDGE, EDGE), null));
    }

    private static void texts(Path folder) throws Exception {
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.modelRandom(new ModelOptions("a", "b\0c")));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.modelRandom(new ModelOptions()));
        expect(Status.INVALID_ARGUMENT, "", () -> cinetomo.modelRandom(new ModelOptions("a", "a")));
        expect(Status.NULL_ARGUMENT, "class names", () -> cinetomo.modelRandom(new ModelOptions("a", null)));
        expect(Status.IO, "nowhere", () -> cinetomo.modelLoad(folder.resolve("nowhere")));
        expect(Status.FORMAT, "", () -> cinetomo.modelLoad(Files.write(folder.resolve("no.model"), new byte[100])));
        // Letters beyond the basic plane, which Java keeps as two halves; and one half alone.
        String[] names = {"Ferritin \u00c5 \u6771 \ud83e\uddec", "lone \ud83e half"};
        Path file = folder.resolve("Modell \u00e5\ud83e\uddec.safetensors");
        try (Model named = cinetomo.modelRandom(new ModelOptions(names))) {
            named.save(file);
        }
        try (Model loaded = cinetomo.modelLoad(file)) {
            check(loaded.info().classNames[0].equals(names[0]), loaded.info().classNames[0]);
        }
        String[] many = new String[300];
        Arrays.setAll(many, i -> "class " + i);
        try (Model large = cinetomo.modelRandom(new ModelOptions(many))) {
            check(Arrays.equals(large.info().classNames, many), "300 classes");
        }
    }

    /** Threads that use one model while it is closed, and end. */
    private static void threads() throws Exception {
        for (int round = 0; round < 3; round++) {
            Model shared = cinetomo.modelRandom(new ModelOptions("a", "b").set("n_views", 1));
            Thread[] threads = new Thread[4];
            for (int i = 0; i < threads.length; i++) {
                threads[i] =
                        new Thread(
                                () -> {
                                    try {
                                        for (int k = 0; k < 20; k++) {
                                            shared.classify(boxes, progress -> true);
                                        }
                                    } catch (CinetomoException error) {
                                        check(error.status() == Status.INVALID_ARGUMENT, error.toString());
                                    }
                                });
                threads[i].start();
            }
            Thread.sleep(50L * round);
            shared.close();
            for (Thread thread : threads) {
                thread.join();
            }
        }
    }

    /** Models that nobody closes are freed: twenty of them would take 1 GB. */
    private static void forgotten() throws Exception {
        long before = residentMegabytes();
        for (int i = 0; i < 20; i++) {
            cinetomo.modelRandom(new ModelOptions("a", "b"));
            System.gc();
            Thread.sleep(20);
        }
        long grown = residentMegabytes() - before;
        check(grown < 500, "20 forgotten models take " + grown + " MB");
    }

    private static long residentMegabytes() throws Exception {
        String line =
                Files.lines(Paths.get("/proc/self/status"))
                        .filter(text -> text.startsWith("VmRSS:"))
                        .findFirst()
                        .orElseThrow();
        return Long.parseLong(line.replaceAll("\\D", "")) / 1024;
    }

    private static Subtomograms noise(int n) {
        float[] voxels = new float[n * EDGE * EDGE * EDGE];
        java.util.Random random = new java.util.Random(1);
        for (int i = 0; i < voxels.length; i++) {
            voxels[i] = random.nextFloat();
        }
        return Subtomograms.copyOf(voxels, n, EDGE, EDGE, EDGE);
    }

    private static void expect(Status status, String part, Wrong wrong) {
        try {
            wrong.run();
            throw new AssertionError("no exception where " + status + " was expected: " + part);
        } catch (CinetomoException error) {
            check(error.status() == status && error.getMessage().contains(part), error.status() + ": " + error.getMessage());
            check(!error.getMessage().isEmpty(), "an exception without message");
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private static void illegal(String part, Wrong wrong) {
        try {
            wrong.run();
            throw new AssertionError("no exception: " + part);
        } catch (IllegalArgumentException error) {
            check(error.getMessage().contains(part), error.getMessage());
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private static void thrownIs(Throwable expected, Wrong wrong) {
        try {
            wrong.run();
        } catch (Throwable error) {
            check(error == expected, "another exception: " + error.getClass());
            return;
        }
        throw new AssertionError("nothing was thrown");
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
