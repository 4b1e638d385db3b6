// The demo's experiment: simulated subtomograms, a few of them labelled, and networks trained on those.
#pragma once

#include <cinetomo.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "options.hpp"

// Subtomograms and their true classes.
struct Dataset {
  std::vector<float> voxels;
  std::vector<std::int32_t> labels;
  std::int64_t box_size;
  double voxel_size;

  cinetomo::Volume volume() const {
    const std::int64_t n = static_cast<std::int64_t>(labels.size());
    return cinetomo::Volume(voxels, {n, box_size, box_size, box_size})
        .voxel_size(voxel_size)
        .contrast(CINETOMO_CONTRAST_DARK);
  }
};

// How well a network does on the held-out subtomograms, and what it took.
struct Result {
  std::string name;
  cinetomo::Evaluation evaluation;
  std::vector<float> probabilities;
  double training_seconds;
  double seconds_per_subtomogram;
};

class Experiment {
 public:
  // Simulates the training and the held-out subtomograms.
  Experiment(const cinetomo::Plugin &plugin, const Options &options);

  const std::vector<std::string> &class_names() const { return class_names_; }
  const Dataset &training() const { return training_; }
  const Dataset &held_out() const { return held_out_; }

  cinetomo::Model video() const;
  cinetomo::Model random() const;

  // Trains on the labelled subtomograms, with the library's defaults but for the number of passes.
  cinetomo::Model train(const cinetomo::Model &start, int n_epochs, const std::string &name);

  // Classifies the held-out subtomograms with a model that `train` made last.
  Result test(const cinetomo::Model &model, const std::string &name);

  // Saves the model, loads it again and classifies again; whether all scores are the same to the last bit.
  bool survives_saving(const cinetomo::Model &model, const std::vector<float> &probabilities) const;

 private:
  Dataset simulate(const cinetomo::Synthetic &synthetic, int n_per_class, std::uint64_t seed, const char *name) const;

  cinetomo::Plugin plugin_;
  Options options_;
  cinetomo::Context context_;
  std::vector<std::string> class_names_;
  Dataset training_;
  Dataset held_out_;
  double training_seconds_ = 0.0;
};
