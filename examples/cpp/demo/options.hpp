// The demo's command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

struct Options {
  std::uint64_t seed = 1;          // of everything: phantoms' poses, noise, training
  double snr = 0.1;                // variance of signal over variance of noise
  int n_per_class = 10;            // labelled subtomograms
  int n_test_per_class = 20;       // held out
  int n_epochs = 24;               // of fine-tuning
  int n_longer_epochs = 48;        // of the second training from random numbers
  std::int32_t device = 0;         // CINETOMO_DEVICE_*
  int n_threads = 0;               // 0 = one per core
  std::string checkpoint;          // the video network
  std::string save;                // where the model goes; "" = a temporary file
  std::string plugin;              // a manifest or its directory; "" = the search path
};

// Reads the command line. Nothing is returned when --help was asked for and printed; mistakes throw.
std::optional<Options> parse_options(int argc, char **argv);
