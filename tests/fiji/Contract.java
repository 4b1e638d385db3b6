import java.util.Locale;
import org.cinetomo.Axis;
import org.cinetomo.CamMethod;
import org.cinetomo.Cinetomo;
import org.cinetomo.CinetomoException;
import org.cinetomo.Contrast;
import org.cinetomo.Device;
import org.cinetomo.Edge;
import org.cinetomo.FineTuneOptions;
import org.cinetomo.LogLevel;
import org.cinetomo.Model;
import org.cinetomo.ModelOptions;
import org.cinetomo.Part;
import org.cinetomo.Predictions;
import org.cinetomo.Preset;
import org.cinetomo.Resampling;
import org.cinetomo.Stage;
import org.cinetomo.Status;
import org.cinetomo.Subtomograms;
import org.cinetomo.ThresholdRule;
import org.cinetomo.VoxelType;

/** What Java says of the C contract: prints its constants as the header has them, and tries the options given by name. */
public final class Contract {
    private Contract() {}

    /** Arguments are names of fields of cinetomo_fine_tune_options, and of cinetomo_preprocess with a plus before them. */
    public static void main(String[] names) {
        print("STATUS", Status.values());
        print("DEVICE", Device.values());
        print("LOG_LEVEL", LogLevel.values());
        print("CONTRAST", Contrast.values());
        print("AXIS", Axis.values());
        print("DTYPE", VoxelType.values());
        print("PRESET", Preset.values());
        print("STAGE", Stage.values());
        print("CAM_METHOD", CamMethod.values());
        print("PART", Part.values());
        print("THRESHOLD_RULE", ThresholdRule.values());
        print("EDGE", Edge.values());
        print("RESAMPLING", Resampling.values());
        System.out.println("CINETOMO_REJECT_NONE = 0");
        System.out.println("CINETOMO_REJECT_PROBABILITY = " + Predictions.BY_PROBABILITY);
        System.out.println("CINETOMO_REJECT_DISTANCE = " + Predictions.BY_DISTANCE);
        try (Cinetomo cinetomo = new Cinetomo();
                Model model = cinetomo.modelRandom(new ModelOptions("a", "b"))) {
            Subtomograms boxes = Subtomograms.copyOf(new float[16 * 16 * 16], 1, 16, 16, 16);
            for (String name : names) {
                if (name.startsWith("+")) {
                    tryModel(cinetomo, name.substring(1));
                } else {
                    // No field may be -1e9; where it gets, the name was known.
                    tryOption(model, boxes, name, "-1.0E9");
                }
            }
            tryOption(model, boxes, "n_epoch", "there is no option \"n_epoch\"");
        }
    }

    private static void tryModel(Cinetomo cinetomo, String name) {
        try {
            cinetomo.modelRandom(new ModelOptions("a", "b").set(name, -1e9)).close();
            System.out.println("+" + name + ": known");
        } catch (CinetomoException error) {
            boolean known = !error.getMessage().startsWith("there is no option");
            System.out.println("+" + name + ": " + (known ? "known" : error.getMessage()));
        }
    }

    private static void print(String family, Enum<?>[] constants) {
        for (Enum<?> constant : constants) {
            System.out.printf(
                    Locale.ROOT, "CINETOMO_%s_%s = %d%n", family, constant.name(), constant.ordinal());
        }
    }

    private static void tryOption(Model model, Subtomograms boxes, String name, String expected) {
        try {
            model.fineTune(boxes, new int[] {0}, new FineTuneOptions().set(name, -1e9), null).close();
            System.out.println(name + ": taken");
        } catch (CinetomoException error) {
            boolean fits = !expected.startsWith("there") ^ error.getMessage().startsWith("there is no option");
            System.out.println(name + ": " + (fits ? "refused" : error.getMessage()));
        }
    }
}
