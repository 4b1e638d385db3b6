#include "experiment.hpp"

#include <cstdio>
#include <filesystem>
#include <unistd.h>

#include "progress_bar.hpp"

namespace {

cinetomo::Context make_context(const cinetomo::Plugin &plugin, const Options &options) {
  cinetomo_context_options context = plugin.context_options();
  context.device = options.device;
  context.n_threads = options.n_threads;
  return plugin.context(context, [](std::int32_t, const char *line) { std::fprintf(stderr, "%s\n", line); });
}

}  // namespace

Experiment::Experiment(const cinetomo::Plugin &plugin, const Options &options)
    : plugin_(plugin), options_(options), context_(make_context(plugin, options)) {
  const cinetomo::Synthetic synthetic(plugin);
  class_names_ = synthetic.phantom_names();
  // Two seeds that no two runs with neighbouring --seed share.
  training_ = simulate(synthetic, options.n_per_class, 2 * options.seed, "simulating labelled subtomograms");
  held_out_ = simulate(synthetic, options.n_test_per_class, 2 * options.seed + 1, "simulating held-out subtomograms");
}

Dataset Experiment::simulate(const cinetomo::Synthetic &synthetic, int n_per_class, std::uint64_t seed,
                             const char *name) const {
  cinetomo_synthetic_options simulation = synthetic.options();
  simulation.snr = options_.snr;
  simulation.seed = seed;
  Dataset dataset{{}, {}, simulation.box_size, simulation.voxel_size};
  for (int i = 0; i < n_per_class; ++i) {
    for (std::size_t label = 0; label < class_names_.size(); ++label) {
      dataset.labels.push_back(static_cast<std::int32_t>(label));
    }
  }
  ProgressBar bar(name);
  dataset.voxels = synthetic.simulate(context_, dataset.labels, simulation, bar.hooks());
  return dataset;
}

cinetomo::Model Experiment::video() const {
  return context_.model_from_video(options_.checkpoint, {class_names_, "", options_.seed});
}

cinetomo::Model Experiment::random() const { return context_.model_random({class_names_, "", options_.seed}); }

cinetomo::Model Experiment::train(const cinetomo::Model &start, int n_epochs, const std::string &name) {
  cinetomo_fine_tune_options training = plugin_.fine_tune_options();
  training.n_epochs = n_epochs;
  training.seed = options_.seed;
  ProgressBar bar("training " + name);
  cinetomo::Model model = start.fine_tune(training_.volume(), training_.labels, training, bar.hooks());
  training_seconds_ = bar.seconds();
  return model;
}

Result Experiment::test(const cinetomo::Model &model, const std::string &name) {
  ProgressBar bar("classifying with " + name);
  std::vector<float> probabilities = model.classify(held_out_.volume(), bar.hooks());
  const double seconds = bar.seconds() / static_cast<double>(held_out_.labels.size());
  cinetomo::Evaluation evaluation = plugin_.evaluate(probabilities, held_out_.labels, class_names_.size());
  return {name, std::move(evaluation), std::move(probabilities), training_seconds_, seconds};
}

bool Experiment::survives_saving(const cinetomo::Model &model, const std::vector<float> &probabilities) const {
  namespace fs = std::filesystem;
  const bool keep = !options_.save.empty();
  const std::string temporary = "cinetomo-demo-" + std::to_string(getpid()) + ".safetensors";
  const fs::path path = keep ? fs::path(options_.save) : fs::temp_directory_path() / temporary;
  model.save(path.string());
  const double megabytes = static_cast<double>(fs::file_size(path)) / 1e6;
  const std::vector<float> again = context_.model_load(path.string()).classify(held_out_.volume());
  if (!keep) fs::remove(path);
  const bool same = again == probabilities;
  std::printf("saved%s (%.0f MB), loaded again: the scores are %s\n", keep ? (" " + path.string()).c_str() : "",
              megabytes, same ? "identical" : "DIFFERENT");
  return same;
}
