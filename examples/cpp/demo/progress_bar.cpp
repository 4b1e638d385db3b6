#include "progress_bar.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace {

const char *stage_name(std::int32_t stage) {
  switch (stage) {
    case CINETOMO_STAGE_LOAD: return "reading";
    case CINETOMO_STAGE_FEATURES: return "features";
    case CINETOMO_STAGE_PROBE: return "head";
    case CINETOMO_STAGE_RECALIBRATE: return "statistics";
    case CINETOMO_STAGE_TRAIN: return "training";
    case CINETOMO_STAGE_VALIDATE: return "validating";
    case CINETOMO_STAGE_CLASSIFY: return "classifying";
    case CINETOMO_STAGE_EMBED: return "embedding";
    case CINETOMO_STAGE_SIMULATE: return "simulating";
    default: return "working";
  }
}

std::string describe(const cinetomo_progress &progress) {
  char text[80];
  std::string line = stage_name(progress.stage);
  if (progress.epoch > 0) {
    std::snprintf(text, sizeof text, ", epoch %d of %d", progress.epoch, progress.n_epochs);
    line += text;
  }
  if (!std::isnan(progress.loss)) {
    std::snprintf(text, sizeof text, ", loss %.3f, accuracy %.2f", progress.loss, progress.accuracy);
    line += text;
  }
  return line;
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressBar::ProgressBar(std::string title) : title_(std::move(title)), terminal_(isatty(STDOUT_FILENO) == 1) {
  if (!terminal_) std::printf("%s\n", title_.c_str());
  std::fflush(stdout);
}

ProgressBar::~ProgressBar() {
  if (terminal_) std::printf("\r\033[K%s: %.1f s\n", title_.c_str(), seconds());
  else std::printf("  %.1f s\n", seconds());
  std::fflush(stdout);
}

double ProgressBar::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

cinetomo::Hooks ProgressBar::hooks() {
  return {[this](const cinetomo_progress &progress) {
    show(progress);
    return true;
  }};
}

void ProgressBar::show(const cinetomo_progress &progress) {
  const int percent = static_cast<int>(100.0 * progress.fraction);
  if (!terminal_) {
    if (percent / 25 > shown_ / 25 && percent < 100) {
      shown_ = percent;
      std::printf("  %2d %%  %s\n", percent, describe(progress).c_str());
      std::fflush(stdout);
    }
    return;
  }
  shown_ = percent;
  constexpr int width = 20;
  const int filled = percent * width / 100;
  std::string bar(static_cast<std::size_t>(width), ' ');
  std::fill_n(bar.begin(), filled, '=');
  std::string line = title_ + " [" + bar + "] " + std::to_string(percent) + " %  " + describe(progress);
  line.resize(std::min(line.size(), terminal_width() - 1));
  std::printf("\r\033[K%s", line.c_str());
  std::fflush(stdout);
}
