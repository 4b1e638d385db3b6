// Runs a command with the options that the argument holds on an image that it describes: "new image|command|options".
parts = split(getArgument(), "|");
if (parts[0] != "none") run("New...", parts[0]);
if (parts[0] != "none" && indexOf(parts[0], "slices=40") > 0)
  run("Stack to Hyperstack...", "order=xyczt(default) channels=2 slices=10 frames=2 display=Grayscale");
run(parts[1], parts[2]);
print("went on");
