// The demo's tables.
#pragma once

#include <string>
#include <vector>

#include "experiment.hpp"

void print_results(const std::vector<Result> &results);

// True classes along the rows, predicted ones along the columns.
void print_confusion(const Result &result, const std::vector<std::string> &class_names);
