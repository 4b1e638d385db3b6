// cinetomo/manifest.hpp as a program, for tests/discovery.rs: search-path 0|1, find PLACE..., judge MANIFEST..., is-privileged.
#include <cinetomo/manifest.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

static void print(const char *what, const std::filesystem::path &path, const std::string &more = "") {
  std::printf("%s\t%s%s%s\n", what, path.c_str(), more.empty() ? "" : "\t", more.c_str());
}

static void find(const std::vector<std::filesystem::path> &places) {
  try {
    const cinetomo::Found found = cinetomo::find_in(places);
    print("found", found.manifest.path);
    print("library", found.manifest.library);
    for (const auto &manifest : found.shadowed) print("shadowed", manifest.path);
    for (const auto &passed : found.passed_over) print("passed_over", passed.path, passed.reason);
  } catch (const cinetomo::Error &thrown) {
    std::string message = thrown.what();
    std::replace(message.begin(), message.end(), '\n', '\x1e');
    print("error", message);
  }
}

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const std::vector<std::filesystem::path> arguments(argv + std::min(argc, 2), argv + argc);
  if (command == "search-path") {
    for (const auto &place : cinetomo::search_path(cinetomo::detail::variable, arguments.at(0) == "1")) {
      std::printf("%s\n", place.c_str());
    }
  } else if (command == "find") {
    find(arguments);
  } else if (command == "judge") {
    for (const auto &file : arguments) {
      std::string verdict;
      try {
        cinetomo::read_manifest(file);
      } catch (const std::exception &thrown) {
        verdict = thrown.what();
      }
      std::printf("%s\n", verdict.c_str());
    }
  } else {
    std::printf("privileged: %s\n", cinetomo::detail::is_privileged() ? "true" : "false");
  }
}
