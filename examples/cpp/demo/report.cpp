#include "report.hpp"

#include <algorithm>
#include <cstdio>

void print_results(const std::vector<Result> &results) {
  std::printf("\n%-24s  accuracy  macro AUC   training  per subtomogram\n", "start");
  for (const Result &result : results) {
    std::printf("%-24s  %8.3f  %9.3f  %7.1f s  %12.1f ms\n", result.name.c_str(), result.evaluation.accuracy,
                result.evaluation.macro_auc, result.training_seconds, 1e3 * result.seconds_per_subtomogram);
  }
}

void print_confusion(const Result &result, const std::vector<std::string> &class_names) {
  const std::size_t n = class_names.size();
  std::size_t width = 0;
  for (const std::string &name : class_names) width = std::max(width, name.size());
  const int indent = static_cast<int>(width);
  std::printf("\n%s: how many of each true class (row) were given each class (column)\n%*s", result.name.c_str(),
              indent + 4, "");
  for (std::size_t column = 0; column < n; ++column) std::printf(" %4zu", column + 1);
  for (std::size_t row = 0; row < n; ++row) {
    std::printf("\n%2zu. %-*s", row + 1, indent, class_names[row].c_str());
    for (std::size_t column = 0; column < n; ++column) {
      std::printf(" %4lld", static_cast<long long>(result.evaluation.confusion[row * n + column]));
    }
  }
  std::printf("\n\n");
}
