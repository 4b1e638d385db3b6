import net.imagej.patcher.LegacyInjector;

/** ImageJ as Fiji starts it without a display. Its classes must not be seen before they are patched. */
public final class Headless {
    static {
        LegacyInjector.preinit();
    }

    private Headless() {}

    /** Arguments are ImageJ's. */
    public static void main(String[] arguments) {
        Start.imageJ(arguments);
    }

    private static final class Start {
        static void imageJ(String[] arguments) {
            ij.ImageJ.main(arguments);
        }
    }
}
