// Reads raw files of three boxes, 20 x 18 x 16 voxels, in every way that ImageJ has, and classifies them.
folder = getArgument();
classify("u8", "8-bit", "");
classify("u16", "16-bit Unsigned", "");
classify("i16", "16-bit Signed", "");
classify("f32", "32-bit Real", "");
// The rows of this one are reversed, as Bio-Formats reverses those of MRC files.
classify("flipped", "32-bit Real", "flip_rows");

// Grey values that a calibration turns round: what counts is what ImageJ shows.
open(folder + "/inverted.tif");
run("Classify Subtomograms", "model_file=[" + folder + "/model.safetensors] device=cpu");
saveAs("Results", folder + "/inverted.csv");
close();

// A plain stack, whose boxes follow each other; a variable of the macro.
open_raw("plain", "32-bit Real");
model = folder + "/model.safetensors";
run("Classify Subtomograms", "model_file=&model box_depth=16 device=cpu");
saveAs("Results", folder + "/plain.csv");
close();

function classify(name, type, options) {
  open_raw(name, type);
  hyperstack();
  run("Classify Subtomograms", "model_file=[" + folder + "/model.safetensors] device=cpu " + options);
  saveAs("Results", folder + "/" + name + ".csv");
  close();
}

function open_raw(name, type) {
  run("Raw...", "open=[" + folder + "/" + name + ".raw] image=[" + type + "] width=20 height=18 number=48 little-endian");
}

function hyperstack() {
  run("Stack to Hyperstack...", "order=xyczt(default) channels=1 slices=16 frames=3 display=Grayscale");
}
