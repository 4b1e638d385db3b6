// Buffers in, classes out. Linked with the library.
//
//   classify MODEL BOXES BOX_SIZE [VOXEL_SIZE]
//
// BOXES is a raw file of float32 cubes, x fastest; VOXEL_SIZE is in angstrom. Prints a line a subtomogram: its index, its
// class and the probability.
#include <cinetomo.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

// A file of floats.
static std::vector<float> read_floats(const std::string &path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error(path + " cannot be read");
  std::vector<float> values(static_cast<std::size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!file) throw std::runtime_error(path + " ended while it was read");
  return values;
}

static void classify(const std::string &model_file, const std::string &boxes_file, std::int64_t edge,
                     double voxel_size) {
  const cinetomo::Plugin plugin = cinetomo::Plugin::linked();
  const cinetomo::Context context = plugin.context();
  const cinetomo::Model model = context.model_load(model_file);
  const std::vector<std::string> class_names = model.info().class_names;

  const std::vector<float> voxels = read_floats(boxes_file);
  const auto n = static_cast<std::int64_t>(voxels.size()) / (edge * edge * edge);
  cinetomo::Volume boxes(voxels, {n, edge, edge, edge});
  boxes.voxel_size(voxel_size);

  // One row of probabilities a subtomogram, into memory of ours.
  std::vector<float> probabilities(static_cast<std::size_t>(n) * class_names.size());
  model.classify_into(boxes, probabilities);
  for (auto row = probabilities.begin(); row != probabilities.end();) {
    const auto end = row + static_cast<std::ptrdiff_t>(class_names.size());
    const auto best = std::max_element(row, end);
    const auto index = static_cast<std::size_t>(row - probabilities.begin()) / class_names.size();
    std::printf("%zu %s %.4f\n", index, class_names[static_cast<std::size_t>(best - row)].c_str(),
                static_cast<double>(*best));
    row = end;
  }
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: classify MODEL BOXES BOX_SIZE [VOXEL_SIZE]\n");
    return 2;
  }
  try {
    const long edge = std::stol(argv[3]);
    if (edge < 1 || edge > 1024) throw std::runtime_error("BOX_SIZE is from 1 to 1024");
    classify(argv[1], argv[2], edge, argc > 4 ? std::stod(argv[4]) : 0.0);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return 1;
  }
}
