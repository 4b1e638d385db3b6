// Balls and bars: a model for them by three kinds of labels, and what it says of those without.
folder = getArgument();
n = 10;
d = 16;
setBatchMode(true);
newImage("boxes", "16-bit", d, d, n * d);
random("seed", 1);
for (p = 0; p < n; p++)
  for (z = 0; z < d; z++) {
    setSlice(p * d + z + 1);
    for (y = 0; y < d; y++)
      for (x = 0; x < d; x++) {
        value = 300 * random();
        if (p % 2 == 0 && sqrt((x - 8) * (x - 8) + (y - 8) * (y - 8) + (z - 8) * (z - 8)) < 4) value = value + 1000;
        if (p % 2 == 1 && abs(y - 8) < 2 && abs(z - 8) < 2) value = value + 1000;
        setPixel(x, y, value);
      }
  }
run("Stack to Hyperstack...", "order=xyczt(default) channels=1 slices=" + d + " frames=" + n + " display=Grayscale");
run("Properties...", "unit=nm pixel_width=1 pixel_height=1 voxel_depth=1");

table = "particle,class\n1,4e12\n2,\"bar, long\"\n3,4e12\n4,\"bar, long\"\n5,\n6,\n";
File.saveString(table, folder + "/labels.csv");
tune("table", "label_file=[" + folder + "/labels.csv]", "preset=probe");
classify("table");

// Regions of the overlay: one for each particle, and a selection of points for several.
for (p = 0; p < 4; p = p + 2) {
  makeRectangle(2, 2, 9, 9);
  Roi.setName("ball-" + p);
  Roi.setPosition(1, 8, p + 1);
  Overlay.addSelection;
}
for (p = 1; p < 4; p = p + 2) {
  makePoint(8, 8);
  Roi.setName("bar");
  Roi.setPosition(1, 8, p + 1);
  Overlay.addSelection;
}
run("Select None");
tune("regions", "", "preset=probe");
classify("regions");

// On with the model of before, some epochs, watched by a part.
Overlay.clear;
tune("table", "label_file=[" + folder + "/labels.csv] start_from=[model file] start_file=[" + folder + "/table.safetensors]",
  "epochs=2 validation=0.5 more_options=[batch_size=2 learning_rate=1e-5 batch_norm=1]");
saveAs("Results", folder + "/course.csv");

function tune(labels, files, options) {
  if (indexOf(files, "start_from") < 0) files = files + " start_from=[random numbers]";
  run("Fine-tune on Labelled Subtomograms", files + " labels_from=" + labels + " contrast=bright " + options
    + " save_model_as=[" + folder + "/" + labels + ".safetensors] device=cpu");
}

function classify(name) {
  run("Classify Subtomograms", "model_file=[" + folder + "/" + name + ".safetensors] contrast=bright device=cpu");
  saveAs("Results", folder + "/" + name + ".csv");
}
