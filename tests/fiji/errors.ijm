// Runs commands that fail, each as a macro of its own: lines "image|command|options" of the file that is the argument, where
// the image is "none" or so many slices. Prints what became of each.
lines = split(File.openAsString(getArgument()), "\n");
for (i = 0; i < lines.length; i++) {
  parts = split(lines[i], "|");
  text = "run('" + parts[1] + "', '" + parts[2] + "'); print('went on');";
  if (parts[0] != "none") {
    newImage("boxes", "32-bit ramp", 16, 16, parseInt(parts[0]));
    if (parts[0] == "40")
      run("Stack to Hyperstack...", "order=xyczt(default) channels=2 slices=10 frames=2 display=Grayscale");
  }
  print("case " + i);
  print(eval(text));
  if (nImages > 0) close();
}
