// A host of the cinetomo plugin: finds it, loads it, and shows what video weights are worth on a few labels.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "experiment.hpp"
#include "options.hpp"
#include "report.hpp"

namespace {

int run(const Options &options) {
  const cinetomo::Found found = options.plugin.empty() ? cinetomo::find() : cinetomo::find_in({options.plugin});
  const cinetomo::Plugin plugin = cinetomo::Plugin::load(found.manifest);
  std::printf("%s %s, %s\n%s\n\n", found.manifest.name.c_str(), plugin.version().c_str(),
              found.manifest.library.c_str(), plugin.runtime_info().summary);

  Experiment experiment(plugin, options);
  const std::size_t n_classes = experiment.class_names().size();
  const Dataset &training = experiment.training();
  std::printf("%zu classes, %d labelled and %d held-out subtomograms of each, ", n_classes, options.n_per_class,
              options.n_test_per_class);
  std::printf("%lld^3 voxels of %g angstrom, SNR %g\n\n", static_cast<long long>(training.box_size),
              training.voxel_size, options.snr);

  const auto name = [](const std::string &start, int n_epochs) {
    return start + ", " + std::to_string(n_epochs) + " epochs";
  };
  std::vector<Result> results;
  const std::string video_name = name("video", options.n_epochs);
  const cinetomo::Model video = experiment.train(experiment.video(), options.n_epochs, video_name);
  results.push_back(experiment.test(video, video_name));
  for (const int n_epochs : {options.n_epochs, options.n_longer_epochs}) {
    if (n_epochs == 0) continue;
    const std::string random_name = name("random", n_epochs);
    results.push_back(experiment.test(experiment.train(experiment.random(), n_epochs, random_name), random_name));
  }

  print_results(results);
  print_confusion(results.front(), experiment.class_names());
  return experiment.survives_saving(video, results.front().probabilities) ? 0 : 1;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    const auto options = parse_options(argc, argv);
    return options ? run(*options) : 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "cinetomo-demo: %s\n", error.what());
    return 2;
  }
}
