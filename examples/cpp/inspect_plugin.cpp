// Which cinetomo plugins are there? Reads manifests and loads nothing.
//
//   inspect_plugin [PLACE...]
//
// PLACE is a manifest or a directory of them; without one, it looks where hosts look.
#include <cinetomo/manifest.hpp>

#include <cstdio>
#include <string>
#include <vector>

static std::string joined(const std::vector<std::string> &parts) {
  std::string list;
  for (const std::string &part : parts) list += (list.empty() ? "" : ", ") + part;
  return list;
}

static void print(const char *title, const cinetomo::Manifest &manifest) {
  std::printf("%s: %s %s, %s\n", title, manifest.name.c_str(), manifest.version.c_str(), manifest.path.c_str());
  std::printf("  %s (%s)\n", manifest.description.c_str(), manifest.license.c_str());
  std::printf("  library %s, entry %s\n", manifest.library.lexically_normal().c_str(), manifest.entry.c_str());
  std::vector<std::string> versions;
  for (const std::uint32_t version : manifest.abi_versions) versions.push_back(std::to_string(version));
  std::printf("  ABI %s; libtorch %s; platforms: %s\n", joined(versions).c_str(), manifest.libtorch.c_str(),
              manifest.platforms.empty() ? "any" : joined(manifest.platforms).c_str());
  std::printf("  extensions: %s\n", joined(manifest.extensions).c_str());
}

int main(int argc, char **argv) {
  try {
    const std::vector<std::filesystem::path> places(argv + 1, argv + argc);
    const cinetomo::Found found = places.empty() ? cinetomo::find() : cinetomo::find_in(places);
    print("found", found.manifest);
    for (const cinetomo::Manifest &manifest : found.shadowed) print("shadowed", manifest);
    for (const cinetomo::PassedOver &passed : found.passed_over) {
      std::printf("passed over: %s: %s\n", passed.path.c_str(), passed.reason.c_str());
    }
  } catch (const std::exception &error) {
    std::fprintf(stderr, "inspect_plugin: %s\n", error.what());
    return 1;
  }
}
