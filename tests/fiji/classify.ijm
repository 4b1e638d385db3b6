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

// Heat maps: of the image, of one with its rows reversed, of a plain stack; and laid over the image.
heat("f32", "", "class=one");
heat("flipped", "flip_rows", "class=two method=respond-cam");
open_raw("plain", "32-bit Real");
run("Show Grad-CAM", "model_file=&model box_depth=16 particles=all show_as=stack stage=Mixed_3c device=cpu");
saveAs("Raw Data", folder + "/heat_plain.raw");
close();
hyperstack();
for (i = 0; i < 2; i++)
  run("Show Grad-CAM", "model_file=&model particles=[this one] device=cpu");
print("overlay " + Overlay.size);
close();

function heat(name, layout, options) {
  open_raw(name, "32-bit Real");
  hyperstack();
  run("Show Grad-CAM", "model_file=&model particles=all show_as=stack device=cpu " + layout + " " + options);
  getDimensions(width, height, channels, slices, frames);
  print(getTitle + " " + slices + " " + frames);
  saveAs("Raw Data", folder + "/heat_" + name + ".raw");
  close();
  close();
}

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
