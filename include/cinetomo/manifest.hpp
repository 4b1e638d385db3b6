// Which cinetomo plugins a machine has, learned from their manifests without loading anything: plugin-manifest/README.md
// in C++17. Linux. A host that only lists plugins includes this file alone.
#ifndef CINETOMO_MANIFEST_HPP
#define CINETOMO_MANIFEST_HPP

#include "../cinetomo.h"
#include "error.hpp"
#include "json.hpp"

#include <sys/auxv.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace cinetomo {

// What a manifest says of a plugin.
struct Manifest {
  std::filesystem::path path;               // the manifest itself, symbolic links resolved
  std::string name;                         // of the plugin
  std::string version;                      // its release
  std::string description;                  // one line for a person who chooses; may be empty
  std::string license;                      // SPDX licence expression; may be empty
  std::vector<std::string> platforms;       // that it has a library for; empty = any
  std::filesystem::path library;            // the shared library for this platform; empty if there is none
  std::string entry;                        // the symbol that returns the table of functions
  std::vector<std::uint32_t> abi_versions;  // that it serves
  std::vector<std::string> extensions;      // that it offers
  std::string libtorch;                     // the version that it is linked with; may be empty
};

// A place or a manifest that was passed over, and why.
struct PassedOver {
  std::filesystem::path path;  // the place or the manifest
  std::string reason;          // a line for a person
};

// What a search found.
struct Found {
  Manifest manifest;                    // the first that can be used
  std::vector<Manifest> shadowed;       // others that could be used, but come later
  std::vector<PassedOver> passed_over;  // what could not be used
};

namespace detail {

// Operating system and processor, as manifests name them.
inline std::string platform() {
  utsname machine{};
  uname(&machine);
  return std::string("linux-") + machine.machine;
}

// Whether the process has more rights than whoever started it (set-user-ID, capabilities): then the environment, which
// is theirs, is not believed.
inline bool is_privileged() { return getauxval(AT_SECURE) != 0; }

// A variable of the environment; "" if it is not set.
inline std::string variable(const char *name) {
  const char *value = std::getenv(name);
  return value != nullptr ? value : "";
}

// The parts of a list separated by colons, without empty ones.
inline std::vector<std::filesystem::path> split(const std::string &list) {
  std::vector<std::filesystem::path> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ':');) {
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

// Whether all of a text is of these characters, and there is one.
inline bool consists_of(const std::string &text, const char *characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string::npos;
}

// Whether a text begins with major.minor.patch.
inline bool is_version(const std::string &text) {
  const std::string digits = "0123456789";
  std::size_t at = 0;
  for (int part = 0; part < 3; ++part) {
    const std::size_t end = std::min(text.find_first_not_of(digits, at), text.size());
    if (end == at || (part < 2 && (end == text.size() || text[end] != '.'))) return false;
    at = end + 1;
  }
  return true;
}

inline constexpr const char *known_platforms[] = {"linux-x86_64", "linux-aarch64"};

// Reads the members of a manifest one by one; each is checked as schema.json says.
class ManifestReader {
 public:
  explicit ManifestReader(const json::Value &members) : members_(members) {}

  // The text of a member; "" if it may be missing and is.
  std::string text(const char *name, bool required) const {
    const json::Value *value = members_.find(name);
    if (value == nullptr && required) throw std::runtime_error(std::string("member ") + name + " is missing");
    return value != nullptr ? named(name, [&] { return value->text(); }) : "";
  }

  // The list of a member; nullptr if it is missing.
  const json::Value::List *list(const char *name) const {
    const json::Value *value = members_.find(name);
    return value != nullptr ? named(name, [&] { return &value->list(); }) : nullptr;
  }

  // The path of the library for this platform, and for which there are some.
  std::string library(std::vector<std::string> &supported) const {
    const std::string only = text("platform", false);
    if (members_.find("platform") != nullptr) check_platform(only);
    const json::Value &library = members_.at("library");
    if (library.is_text()) {
      if (!only.empty()) supported = {only};
      return path(library);
    }
    std::string here;
    for (const auto &[name, value] : named("library", [&] { return library.object(); })) {
      check_platform(name);
      if (only.empty() || only == name) supported.push_back(name);
      const std::string candidate = path(value);
      if (name == detail::platform()) here = candidate;
    }
    if (library.object().empty()) throw std::runtime_error("library is empty");
    return here;
  }

  // Runs a function that takes a member apart; what it throws gets the member's name.
  template <class Function>
  static auto named(const char *name, Function function) -> decltype(function()) {
    try {
      return function();
    } catch (const std::runtime_error &error) {
      throw std::runtime_error(std::string(name) + ": " + error.what());
    }
  }

 private:
  static std::string path(const json::Value &value) {
    const std::string path = named("library", [&] { return value.text(); });
    if (path.empty()) throw std::runtime_error("library is empty");
    return path;
  }
  static void check_platform(const std::string &name) {
    if (std::find(std::begin(known_platforms), std::end(known_platforms), name) == std::end(known_platforms)) {
      throw std::runtime_error("platform \"" + name + "\" is neither linux-x86_64 nor linux-aarch64");
    }
  }

  const json::Value &members_;
};

// Throws std::runtime_error with the reason if this host cannot use the plugin.
inline void check_usable(const Manifest &manifest) {
  const auto &platforms = manifest.platforms;
  if (!platforms.empty() && std::find(platforms.begin(), platforms.end(), platform()) == platforms.end()) {
    std::string list;
    for (const std::string &name : platforms) list += (list.empty() ? "" : ", ") + name;
    throw std::runtime_error("it is for " + list + "; this is " + platform());
  }
  const auto &versions = manifest.abi_versions;
  if (std::find(versions.begin(), versions.end(), std::uint32_t{CINETOMO_ABI_VERSION}) == versions.end()) {
    std::string list;
    for (const std::uint32_t version : versions) list += (list.empty() ? "" : ", ") + std::to_string(version);
    throw std::runtime_error("it speaks ABI [" + list + "]; this host speaks ABI " +
                             std::to_string(CINETOMO_ABI_VERSION));
  }
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(manifest.library, ignored)) {
    throw std::runtime_error("its library " + manifest.library.string() + " is not there");
  }
}

// The manifests in a place: itself, or the *.json of a directory in alphabetical order.
inline std::vector<std::filesystem::path> manifests_in(const std::filesystem::path &place) {
  namespace fs = std::filesystem;
  if (!fs::exists(place)) throw std::runtime_error("not there");
  if (!fs::is_directory(place)) return {place};
  std::vector<fs::path> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(place)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  if (files.empty()) throw std::runtime_error("no manifest (*.json) in it");
  std::sort(files.begin(), files.end());
  return files;
}

// Throws RUNTIME_CONFLICT if the process has mapped another libtorch than `library` would load: two crash it.
inline void check_libtorch(const std::filesystem::path &library) {
  namespace fs = std::filesystem;
  const fs::path directory = library.parent_path();
  std::vector<fs::path> places{directory, directory / "libtorch/lib"};  // the library's RPATH
  if (!is_privileged()) {
    for (fs::path &place : split(variable("LD_LIBRARY_PATH"))) places.push_back(std::move(place));
  }
  std::error_code ignored;
  const auto holds = [&](const fs::path &place) { return fs::exists(place / "libtorch_cpu.so", ignored); };
  const auto place = std::find_if(places.begin(), places.end(), holds);
  if (place == places.end()) return;  // then the dynamic linker takes the mapped one, or says what is missing
  const fs::path wanted = fs::canonical(*place / "libtorch_cpu.so");

  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t start = line.find('/');
    if (start == std::string::npos) continue;
    const std::string deleted = " (deleted)";
    std::string name = line.substr(start);
    if (name.size() > deleted.size() && name.compare(name.size() - deleted.size(), deleted.size(), deleted) == 0) {
      name.resize(name.size() - deleted.size());
    }
    const fs::path mapped = name;
    if (mapped.filename() == "libtorch_cpu.so" && mapped != wanted) {
      throw Error(CINETOMO_STATUS_RUNTIME_CONFLICT,
                  "this process already uses " + mapped.string() + ", and " + library.string() + " would bring " +
                      wanted.string() +
                      ": two copies of libtorch in one process crash it. Let both use the same file, or run cinetomo "
                      "in a process of its own");
    }
  }
}

}  // namespace detail

// Reads a manifest and checks it against schema.json; throws std::runtime_error with the reason if it is none. The plugin
// may be of another platform or ABI.
inline Manifest read_manifest(const std::filesystem::path &file) {
  using detail::ManifestReader;
  Manifest manifest;
  manifest.path = std::filesystem::canonical(file);
  std::ifstream stream(manifest.path);
  if (!stream) throw std::runtime_error("cannot be read");
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const detail::json::Value members = detail::json::parse(text);
  const double format = members.at("manifest_version").number();
  if (format != 1) throw std::runtime_error("manifest_version is not 1, which this host reads");

  const ManifestReader reader(members);
  manifest.name = reader.text("name", true);
  if (manifest.name.empty()) throw std::runtime_error("name is empty");
  manifest.version = reader.text("version", true);
  if (!detail::is_version(manifest.version)) {
    throw std::runtime_error("version \"" + manifest.version + "\" is not major.minor.patch");
  }
  manifest.description = reader.text("description", false);
  manifest.license = reader.text("license", false);
  const std::string library = reader.library(manifest.platforms);
  if (!library.empty()) manifest.library = manifest.path.parent_path() / library;
  manifest.entry = reader.text("entry", true);
  const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  if (!detail::consists_of(manifest.entry, letters) || (manifest.entry[0] >= '0' && manifest.entry[0] <= '9')) {
    throw std::runtime_error("entry \"" + manifest.entry + "\" is not a C identifier");
  }

  const auto *versions = reader.list("abi_versions");
  if (versions == nullptr || versions->empty()) throw std::runtime_error("abi_versions is missing or empty");
  for (const detail::json::Value &version : *versions) {
    const double number = ManifestReader::named("abi_versions", [&] { return version.number(); });
    if (!(number >= 1 && number <= 4294967295.0) || number != static_cast<std::uint32_t>(number)) {
      throw std::runtime_error("abi_versions has a number that is no version");
    }
    manifest.abi_versions.push_back(static_cast<std::uint32_t>(number));
  }
  if (const auto *extensions = reader.list("extensions")) {
    for (const detail::json::Value &extension : *extensions) {
      const std::string id = ManifestReader::named("extensions", [&] { return extension.text(); });
      const std::size_t slash = std::min(id.find('/'), id.size());
      if (!detail::consists_of(id.substr(0, slash), "abcdefghijklmnopqrstuvwxyz0123456789_.") || slash == id.size() ||
          !detail::consists_of(id.substr(slash + 1), "0123456789")) {
        throw std::runtime_error("extension \"" + id + "\" is not of the form name/revision");
      }
      manifest.extensions.push_back(id);
    }
  }
  if (const detail::json::Value *requires_member = members.find("requires")) {
    const detail::json::Value *libtorch =
        ManifestReader::named("requires", [&] { return requires_member->find("libtorch"); });
    if (libtorch != nullptr) manifest.libtorch = ManifestReader::named("requires", [&] { return libtorch->text(); });
  }
  return manifest;
}

// Places where manifests may be, given the environment's variables ("" = not set): CINETOMO_PLUGIN_PATH, then the user's,
// then the system's data directories (XDG Base Directory Specification). A privileged process ignores the variables.
inline std::vector<std::filesystem::path> search_path(const std::function<std::string(const char *)> &variable,
                                                      bool privileged) {
  namespace fs = std::filesystem;
  const auto value = [&](const char *name) { return privileged ? std::string() : variable(name); };
  std::vector<fs::path> places = detail::split(value("CINETOMO_PLUGIN_PATH"));
  std::vector<fs::path> data{value("XDG_DATA_HOME")};
  // The specification has relative paths ignored.
  if (!data[0].is_absolute()) data[0] = fs::path(value("HOME")) / ".local/share";
  const std::string system = value("XDG_DATA_DIRS");
  for (fs::path &directory : detail::split(!system.empty() ? system : "/usr/local/share:/usr/share")) {
    data.push_back(std::move(directory));
  }
  for (const fs::path &directory : data) {
    if (directory.is_absolute()) places.push_back(directory / "cinetomo/plugins");
  }
  return places;
}

// The plugins that this host can use in these places, each a manifest or a directory of manifests; the first wins. Throws
// with every place and what was wrong with it if there is none. Loads nothing.
inline Found find_in(const std::vector<std::filesystem::path> &places) {
  std::vector<Manifest> usable;
  std::vector<PassedOver> passed_over;
  for (const std::filesystem::path &place : places) {
    std::vector<std::filesystem::path> files;
    try {
      files = detail::manifests_in(place);
    } catch (const std::exception &error) {
      passed_over.push_back({place, error.what()});
    }
    for (const std::filesystem::path &file : files) {
      try {
        Manifest manifest = read_manifest(file);
        detail::check_usable(manifest);
        const auto same = [&](const Manifest &other) { return other.path == manifest.path; };
        if (std::none_of(usable.begin(), usable.end(), same)) usable.push_back(std::move(manifest));
      } catch (const std::exception &error) {
        passed_over.push_back({file, error.what()});
      }
    }
  }
  if (usable.empty()) {
    std::string tried;
    for (const PassedOver &passed : passed_over) tried += "\n  " + passed.path.string() + ": " + passed.reason;
    throw Error(CINETOMO_STATUS_IO,
                "no usable cinetomo plugin; set CINETOMO_PLUGIN_PATH to the directory of its manifest "
                "(PREFIX/share/cinetomo/plugins). Looked at:" + tried);
  }
  Found found{std::move(usable.front()), {}, std::move(passed_over)};
  found.shadowed.assign(std::make_move_iterator(usable.begin() + 1), std::make_move_iterator(usable.end()));
  return found;
}

// The plugins along the search path of this process.
inline Found find() { return find_in(search_path(detail::variable, detail::is_privileged())); }

}  // namespace cinetomo

#endif  // CINETOMO_MANIFEST_HPP
