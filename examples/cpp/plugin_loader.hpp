// Finds a cinetomo plugin by its manifest and loads it: what plugin-manifest/README.md says, small enough to copy into
// a host. Linux, C++17, no dependency.
#pragma once

#include <cinetomo.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/utsname.h>
#include <vector>

#include "json.hpp"

namespace plugin_loader {

namespace fs = std::filesystem;

// The members of a manifest that loading needs, and those that a person wants to see.
struct Manifest {
  fs::path path;
  fs::path library;
  std::string entry;
  std::string name;
  std::string version;
};

// Reads a manifest and checks that this host can use the plugin; throws std::runtime_error with the reason if not.
inline Manifest read(const fs::path &file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error("cannot be read");
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const json::Value manifest = json::parse(text);
  if (manifest.at("manifest_version").number() != 1) throw std::runtime_error("manifest_version is not 1");

  if (const json::Value *platform = manifest.find("platform")) {
    utsname machine{};
    uname(&machine);
    const std::string here = std::string("linux-") + machine.machine;
    if (platform->text() != here) throw std::runtime_error("it is for " + platform->text() + "; this is " + here);
  }
  const std::vector<json::Value> &versions = manifest.at("abi_versions").list();
  const auto known = [](const json::Value &version) { return version.number() == CINETOMO_ABI_VERSION; };
  if (std::none_of(versions.begin(), versions.end(), known)) {
    throw std::runtime_error("it does not speak ABI " + std::to_string(CINETOMO_ABI_VERSION));
  }
  const fs::path path = fs::canonical(file);
  const fs::path library = path.parent_path() / manifest.at("library").text();
  if (!fs::is_regular_file(library)) throw std::runtime_error("its library " + library.string() + " is not there");
  return {path, fs::canonical(library), manifest.at("entry").text(), manifest.at("name").text(),
          manifest.at("version").text()};
}

// The parts of a list separated by colons, without empty ones.
inline std::vector<fs::path> split(const char *list) {
  std::vector<fs::path> parts;
  std::istringstream stream(list != nullptr ? list : "");
  for (std::string part; std::getline(stream, part, ':');) {
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

// Where manifests may be: CINETOMO_PLUGIN_PATH, then the user's, then the system's data directories.
inline std::vector<fs::path> search_path() {
  const auto variable = [](const char *name) -> const char * {
    const char *value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
  };
  std::vector<fs::path> places = split(variable("CINETOMO_PLUGIN_PATH"));
  std::vector<fs::path> data;
  if (const char *user = variable("XDG_DATA_HOME")) data.emplace_back(user);
  else if (const char *home = variable("HOME")) data.emplace_back(fs::path(home) / ".local/share");
  const char *system = variable("XDG_DATA_DIRS");
  for (fs::path &directory : split(system != nullptr ? system : "/usr/local/share:/usr/share")) {
    data.push_back(std::move(directory));
  }
  for (const fs::path &directory : data) places.push_back(directory / "cinetomo/plugins");
  return places;
}

// The manifests in a place: itself, or the *.json of a directory in alphabetical order.
inline std::vector<fs::path> manifests_in(const fs::path &place) {
  if (!fs::exists(place)) throw std::runtime_error("not there");
  if (!fs::is_directory(place)) return {place};
  std::vector<fs::path> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(place)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The first usable plugin of these places. Throws with every place and what was wrong with it if there is none.
inline Manifest find(const std::vector<fs::path> &places = search_path()) {
  std::string tried;
  for (const fs::path &place : places) {
    try {
      const std::vector<fs::path> files = manifests_in(place);
      if (files.empty()) tried += "\n  " + place.string() + ": no manifest in it";
      for (const fs::path &file : files) {
        try {
          return read(file);
        } catch (const std::exception &error) {
          tried += "\n  " + file.string() + ": " + error.what();
        }
      }
    } catch (const std::exception &error) {
      tried += "\n  " + place.string() + ": " + error.what();
    }
  }
  throw cinetomo::Error(CINETOMO_STATUS_IO,
                        "no usable cinetomo plugin; CINETOMO_PLUGIN_PATH may name the directory of its manifest "
                        "(PREFIX/share/cinetomo/plugins). Looked at:" + tried);
}

// Throws RUNTIME_CONFLICT if the process has mapped another libtorch than `library` would load: two crash it.
inline void check_libtorch(const fs::path &library) {
  std::vector<fs::path> places = split(std::getenv("LD_LIBRARY_PATH"));
  places.push_back(library.parent_path());
  places.push_back(library.parent_path() / "libtorch/lib");
  const auto holds = [](const fs::path &place) { return fs::exists(place / "libtorch_cpu.so"); };
  const auto place = std::find_if(places.begin(), places.end(), holds);
  if (place == places.end()) return;  // then the dynamic linker takes the mapped one, or says what is missing
  const fs::path wanted = fs::canonical(*place / "libtorch_cpu.so");

  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t start = line.find('/');
    if (start == std::string::npos) continue;
    const fs::path mapped = line.substr(start);
    if (mapped.filename() == "libtorch_cpu.so" && mapped != wanted) {
      throw cinetomo::Error(CINETOMO_STATUS_RUNTIME_CONFLICT, "this process already uses " + mapped.string() +
                                                                  ", and the plugin would bring " + wanted.string() +
                                                                  ": two copies of libtorch crash a process");
    }
  }
}

// Loads the plugin of a manifest for the rest of the process.
inline cinetomo::Plugin load(const Manifest &manifest) {
  check_libtorch(manifest.library);
  return cinetomo::Plugin::open(manifest.library.string(), manifest.entry);
}

}  // namespace plugin_loader
