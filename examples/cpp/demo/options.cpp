#include "options.hpp"

#include <cinetomo.h>
#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace {

constexpr const char *help =
    R"(Simulates subtomograms of seven macromolecules, fine-tunes a network that was trained on video on a few of them,
classifies the others, and does the same with a network that starts from random numbers.

usage: cinetomo-demo [options] [CHECKPOINT]

  CHECKPOINT            video weights, i3d-kinetics-400.ckpt; default: the environment variable CINETOMO_I3D
  --per-class N         labelled subtomograms of each class            (default 10)
  --test N              held-out subtomograms of each class            (default 20)
  --snr X               signal-to-noise ratio, by variance             (default 0.1)
  --epochs N            passes over the labelled subtomograms          (default 24)
  --longer-epochs N     passes of the second run from random numbers   (default 48; 0 = leave it out)
  --seed N              another draw of everything                     (default 1)
  --device NAME         auto, cpu or cuda                              (default auto)
  --threads N           CPU threads                                    (default 0 = one per core)
  --save PATH           keep the fine-tuned model
  --plugin PATH         manifest of the plugin, or its directory       (default: CINETOMO_PLUGIN_PATH and the system's)
  --help
)";

double number(const char *option, const char *text, double lowest) {
  char *end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(value >= lowest)) {
    std::ostringstream message;
    message << "--" << option << " needs a number of at least " << lowest << ", got " << text;
    throw std::invalid_argument(message.str());
  }
  return value;
}

int whole(const char *option, const char *text, int lowest) {
  const double value = number(option, text, lowest);
  if (value != static_cast<int>(value)) {
    throw std::invalid_argument(std::string("--") + option + " needs a whole number, got " + text);
  }
  return static_cast<int>(value);
}

std::int32_t device(const std::string &name) {
  if (name == "auto") return CINETOMO_DEVICE_AUTO;
  if (name == "cpu") return CINETOMO_DEVICE_CPU;
  if (name == "cuda") return CINETOMO_DEVICE_CUDA;
  throw std::invalid_argument("--device is auto, cpu or cuda, got " + name);
}

}  // namespace

std::optional<Options> parse_options(int argc, char **argv) {
  static const option list[] = {
      {"per-class", required_argument, nullptr, 'n'}, {"test", required_argument, nullptr, 't'},
      {"snr", required_argument, nullptr, 'r'},       {"epochs", required_argument, nullptr, 'e'},
      {"longer-epochs", required_argument, nullptr, 'l'}, {"seed", required_argument, nullptr, 's'},
      {"device", required_argument, nullptr, 'd'},    {"threads", required_argument, nullptr, 'j'},
      {"save", required_argument, nullptr, 'o'},      {"plugin", required_argument, nullptr, 'p'},
      {"help", no_argument, nullptr, 'h'},            {nullptr, 0, nullptr, 0},
  };
  Options options;
  int index = 0;
  for (int letter; (letter = getopt_long(argc, argv, "", list, &index)) != -1;) {
    const char *name = list[index].name;
    switch (letter) {
      case 'n': options.n_per_class = whole(name, optarg, 1); break;
      case 't': options.n_test_per_class = whole(name, optarg, 1); break;
      case 'r': options.snr = number(name, optarg, 1e-6); break;
      case 'e': options.n_epochs = whole(name, optarg, 0); break;
      case 'l': options.n_longer_epochs = whole(name, optarg, 0); break;
      case 's': options.seed = static_cast<std::uint64_t>(whole(name, optarg, 0)); break;
      case 'd': options.device = device(optarg); break;
      case 'j': options.n_threads = whole(name, optarg, 0); break;
      case 'o': options.save = optarg; break;
      case 'p': options.plugin = optarg; break;
      case 'h': std::fputs(help, stdout); return std::nullopt;
      default: throw std::invalid_argument("see --help");
    }
  }
  const char *from_environment = std::getenv("CINETOMO_I3D");
  if (optind < argc) options.checkpoint = argv[optind];
  else if (from_environment != nullptr) options.checkpoint = from_environment;
  else throw std::invalid_argument("name the video weights (i3d-kinetics-400.ckpt); see --help");
  return options;
}
