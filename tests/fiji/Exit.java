import java.util.Random;
import org.cinetomo.Cinetomo;
import org.cinetomo.FineTuneOptions;
import org.cinetomo.Model;
import org.cinetomo.ModelOptions;
import org.cinetomo.Subtomograms;

/** Ends the JVM while another thread trains. */
public final class Exit {
    private Exit() {}

    /** The argument says after how many milliseconds. */
    public static void main(String[] arguments) throws Exception {
        Model model = new Cinetomo().modelRandom(new ModelOptions("a", "b"));
        float[] voxels = new float[8 * 16 * 16 * 16];
        Random random = new Random(1);
        for (int i = 0; i < voxels.length; i++) {
            voxels[i] = random.nextFloat();
        }
        Subtomograms boxes = Subtomograms.copyOf(voxels, 8, 16, 16, 16);
        int[] labels = {0, 1, 0, 1, 0, 1, 0, 1};
        Thread training =
                new Thread(() -> model.fineTune(boxes, labels, new FineTuneOptions().nEpochs(100_000), null));
        training.setDaemon(true);
        training.start();
        Thread.sleep(Long.parseLong(arguments[0]));
        System.exit(7);
    }
}
