import ij.IJ;
import ij.ImageJ;
import ij.ImagePlus;
import ij.gui.NewImage;
import ij.gui.Roi;
import ij.measure.ResultsTable;
import ij.plugin.frame.Recorder;
import ij.plugin.frame.RoiManager;
import java.awt.Button;
import java.awt.Component;
import java.awt.Container;
import java.awt.Dialog;
import java.awt.EventQueue;
import java.awt.Point;
import java.awt.Rectangle;
import java.awt.Robot;
import java.awt.TextField;
import java.awt.Toolkit;
import java.awt.Window;
import java.awt.event.ActionEvent;
import java.awt.event.InputEvent;
import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import javax.imageio.ImageIO;

/** ImageJ as a person has it: windows, a dialog that is clicked on, the recorder, the ROI Manager. */
public final class Gui {
    private static File folder;
    private static Robot robot;

    private Gui() {}

    /** Arguments: a folder with a model, which gets the pictures; ImageJ's folder. */
    public static void main(String[] arguments) {
        try {
            use(arguments);
            System.out.println("ok");
            System.exit(0);
        } catch (Throwable problem) {
            problem.printStackTrace();
            // Windows would keep the JVM alive.
            System.exit(1);
        }
    }

    private static void use(String[] arguments) throws Exception {
        folder = new File(arguments[0]);
        System.setProperty("plugins.dir", arguments[1]);
        robot = new Robot();
        new ImageJ(ImageJ.NO_SHOW).setVisible(true);
        Recorder recorder = new Recorder();
        ImagePlus image = boxes();
        image.show();

        IJ.doCommand("Classify Subtomograms");
        Dialog dialog = await("the dialog", () -> dialog("Classify Subtomograms"));
        find(dialog, TextField.class).get(0).setText(folder + "/model.safetensors");
        picture("dialog");
        press(dialog, "OK");
        await("results", () -> ResultsTable.getResultsTable().size() == 4 ? true : null);
        String first = results();
        picture("results");

        // What was recorded does the same again; and in a new class loader.
        String macro = await("the record", () -> recorder.getText().contains("Classify") ? recorder.getText() : null);
        check(macro.contains("run(\"Classify Subtomograms\", \"model_file=" + folder), macro);
        check(again(macro).equals(first), "the macro's results differ");
        IJ.run("Refresh Menus");
        check(again(macro).equals(first), "after Refresh Menus results differ");

        // Regions of the ROI Manager are labels.
        RoiManager manager = new RoiManager();
        for (int t = 1; t <= 4; t++) {
            Roi roi = new Roi(2, 2, 10, 10);
            roi.setPosition(1, 8, t);
            roi.setName(t % 2 == 0 ? "even" : "odd");
            manager.addRoi(roi);
        }
        String tune =
                "run('Fine-tune on Labelled Subtomograms', 'start_from=[model file] start_file=[" + folder
                        + "/model.safetensors] labels_from=regions save_model_as=[" + folder
                        + "/tuned.safetensors] epochs=1 device=cpu');";
        check(IJ.runMacro(tune.replace('\'', '"')) == null, "fine-tuning was aborted");
        check(new File(folder, "tuned.safetensors").exists(), "the tuned model is saved");
        picture("regions");

        // A heat map over the image; the regions stay what they were.
        String heat = "run('Show Grad-CAM', 'model_file=[" + folder + "/tuned.safetensors] particles=all device=cpu');";
        check(IJ.runMacro(heat.replace('\'', '"')) == null, "Grad-CAM was aborted");
        check(image.getOverlay().size() == 64, "the overlay has " + image.getOverlay().size() + " parts");
        check(IJ.runMacro(tune.replace('\'', '"')) == null, "fine-tuning beside an overlay was aborted");
        check(goToColour(image) > 0, "the heat map is nowhere to be seen");
        for (int i = 0; i < 6; i++) {
            IJ.run(image, "In [+]", "");
        }
        picture("heat");

        // The user gives up: nothing happens, and the command can be called again.
        IJ.doCommand("Classify Subtomograms");
        press(await("the dialog", () -> dialog("Classify Subtomograms")), "Cancel");
    }

    /** Goes to the slice with the most coloured pixels and returns how many it has. */
    private static int goToColour(ImagePlus image) {
        int most = 0;
        int best = 1;
        for (int slice = 1; slice <= image.getStackSize(); slice++) {
            image.setSlice(slice);
            int n = 0;
            for (int pixel : (int[]) image.flatten().getProcessor().getPixels()) {
                n += (pixel >> 16 & 255) != (pixel & 255) ? 1 : 0;
            }
            if (n > most) {
                most = n;
                best = slice;
            }
        }
        image.setSlice(best);
        return most;
    }

    /** Four boxes of noise that differ. */
    private static ImagePlus boxes() {
        ImagePlus image = NewImage.createFloatImage("boxes", 16, 16, 64, NewImage.FILL_BLACK);
        Random random = new Random(1);
        for (int slice = 1; slice <= 64; slice++) {
            float[] pixels = (float[]) image.getStack().getPixels(slice);
            for (int i = 0; i < pixels.length; i++) {
                pixels[i] = random.nextFloat() + (i % 16) * (slice / 16) * 0.1f;
            }
        }
        image.setDimensions(1, 16, 4);
        image.setOpenAsHyperStack(true);
        image.getCalibration().setUnit("nm");
        return image;
    }

    private static String again(String macro) throws Exception {
        IJ.run("Clear Results");
        check(IJ.runMacro(macro) == null, "the macro was aborted");
        return results();
    }

    private static String results() {
        ResultsTable table = ResultsTable.getResultsTable();
        StringBuilder text = new StringBuilder();
        for (int row = 0; row < table.size(); row++) {
            text.append(table.getRowAsString(row)).append('\n');
        }
        return text.toString();
    }

    private static Dialog dialog(String title) {
        for (Window window : Window.getWindows()) {
            if (window instanceof Dialog && window.isShowing() && title.equals(((Dialog) window).getTitle())) {
                return (Dialog) window;
            }
        }
        return null;
    }

    private static Button button(Dialog dialog, String label) {
        for (Button button : find(dialog, Button.class)) {
            if (button.getLabel().trim().equals(label)) {
                return button;
            }
        }
        throw new AssertionError("no button " + label);
    }

    private static <T extends Component> List<T> find(Container container, Class<T> type) {
        List<T> found = new ArrayList<>();
        for (Component component : container.getComponents()) {
            if (type.isInstance(component)) {
                found.add(type.cast(component));
            } else if (component instanceof Container) {
                found.addAll(find((Container) component, type));
            }
        }
        return found;
    }

    /**
     * Clicks on a button until the dialog is gone. Where no window manager runs, Java may be wrong about where a window is, and
     * the mouse then misses for good; so the button is told in the end as a click tells it.
     */
    private static void press(Dialog dialog, String label) {
        for (int i = 0; i < 20 && dialog.isShowing(); i++) {
            Button button = button(dialog, label);
            if (i < 5) {
                click(button);
            } else {
                ActionEvent event = new ActionEvent(button, ActionEvent.ACTION_PERFORMED, button.getActionCommand());
                EventQueue.invokeLater(() -> button.dispatchEvent(event));
            }
            robot.delay(1000);
        }
        check(!dialog.isShowing(), "the dialog does not hear " + label);
    }

    private static void click(Component component) {
        Point corner = component.getLocationOnScreen();
        robot.mouseMove(corner.x + component.getWidth() / 2, corner.y + component.getHeight() / 2);
        robot.delay(200);
        robot.mousePress(InputEvent.BUTTON1_DOWN_MASK);
        robot.mouseRelease(InputEvent.BUTTON1_DOWN_MASK);
    }

    /** What the screen shows. */
    private static void picture(String name) throws Exception {
        robot.delay(1500);
        Rectangle screen = new Rectangle(Toolkit.getDefaultToolkit().getScreenSize());
        ImageIO.write(robot.createScreenCapture(screen), "png", new File(folder, name + ".png"));
    }

    /** What the question answers, once it is not null. */
    private static <T> T await(String what, Callable<T> question) throws Exception {
        for (int i = 0; i < 600; i++) {
            T answer = question.call();
            if (answer != null) {
                Thread.sleep(200);
                return answer;
            }
            Thread.sleep(100);
        }
        throw new AssertionError("no sign of " + what);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
