// Progress of a long call: a bar that redraws itself on a terminal, a few plain lines elsewhere.
#pragma once

#include <cinetomo.hpp>

#include <chrono>
#include <string>

class ProgressBar {
 public:
  explicit ProgressBar(std::string title);
  ~ProgressBar();  // leaves one line: the title and the seconds
  ProgressBar(const ProgressBar &) = delete;
  ProgressBar &operator=(const ProgressBar &) = delete;

  // What the library calls; lives as long as the bar.
  cinetomo::Hooks hooks();
  double seconds() const;

 private:
  void show(const cinetomo_progress &progress);

  std::string title_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool terminal_;
  int shown_ = -1;  // the last percentage
};
