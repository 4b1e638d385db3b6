// Fine-tunes a video network on labelled subtomograms. Finds and loads the plugin at run time.
//
//   fine_tune CHECKPOINT BOXES BOX_SIZE LABELS MODEL [EPOCHS]
//
// BOXES is a raw file of float32 cubes, x fastest; LABELS a text file with the name of the class of each box, a line each,
// "-" for one without label. Writes MODEL. Ctrl-C stops the training.
#include <cinetomo.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

static volatile std::sig_atomic_t interrupted = 0;

static std::vector<float> read_boxes(const std::string &path, std::size_t n_voxels) {
  std::vector<float> values(n_voxels);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(n_voxels * sizeof(float)));
  if (!file || file.peek() != std::ifstream::traits_type::eof()) {
    throw std::runtime_error(path + " does not hold " + std::to_string(n_voxels) + " voxels, a box for each label");
  }
  return values;
}

// The classes in the order in which they come, and the class of each subtomogram.
struct Labels {
  std::vector<std::string> class_names;
  std::vector<std::int32_t> labels;
};

static Labels read_labels(const std::string &path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read");
  Labels read;
  for (std::string name; std::getline(file, name);) {
    const auto known = std::find(read.class_names.begin(), read.class_names.end(), name);
    read.labels.push_back(name == "-" ? -1 : static_cast<std::int32_t>(known - read.class_names.begin()));
    if (name != "-" && known == read.class_names.end()) read.class_names.push_back(name);
  }
  return read;
}

// Shows where the training stands. False stops it; an exception would, too, and come out of fine_tune.
static bool show(const cinetomo_progress &progress) {
  if (progress.stage == CINETOMO_STAGE_TRAIN && progress.step == progress.n_steps) {
    std::printf("epoch %d of %d: loss %.3f, accuracy %.2f\n", progress.epoch, progress.n_epochs, progress.loss,
                progress.accuracy);
  }
  return interrupted == 0;
}

static void fine_tune(char **argv, int n_epochs) {
  const Labels read = read_labels(argv[4]);
  const std::int64_t edge = std::stol(argv[3]);
  if (edge < 1 || edge > 1024) throw std::runtime_error("BOX_SIZE is from 1 to 1024");
  const auto n = static_cast<std::int64_t>(read.labels.size());
  const std::vector<float> voxels = read_boxes(argv[2], static_cast<std::size_t>(n * edge * edge * edge));

  const cinetomo::Plugin plugin = cinetomo::Plugin::find();
  const cinetomo::Context context = plugin.context(
      plugin.context_options(), [](std::int32_t, const char *line) { std::fprintf(stderr, "fine_tune: %s\n", line); });
  cinetomo::ModelOptions options;
  options.class_names = read.class_names;
  const cinetomo::Model video = context.model_from_video(argv[1], options);

  cinetomo_fine_tune_options training = plugin.fine_tune_options();
  if (n_epochs >= 0) training.n_epochs = n_epochs;
  const cinetomo::Volume boxes(voxels, {n, edge, edge, edge});
  const cinetomo::Model tuned = video.fine_tune(boxes, read.labels, training, {show});
  tuned.save(argv[5]);
  std::printf("%s: %zu classes\n", argv[5], read.class_names.size());
}

int main(int argc, char **argv) {
  if (argc < 6 || argc > 7) {
    std::fprintf(stderr, "usage: fine_tune CHECKPOINT BOXES BOX_SIZE LABELS MODEL [EPOCHS]\n");
    return 2;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  try {
    fine_tune(argv, argc > 6 ? std::stoi(argv[6]) : -1);
  } catch (const cinetomo::Error &error) {
    std::fprintf(stderr, "fine_tune: %s\n", error.what());
    return error.status() == CINETOMO_STATUS_CANCELLED ? 130 : 1;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fine_tune: %s\n", error.what());
    return 1;
  }
}
