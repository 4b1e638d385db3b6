// Classifies particles of a tomogram that is larger than memory: the MRC file is mapped, and boxes are cut out and
// classified a batch at a time. Finds and loads the plugin at run time.
//
//   stream_boxes MODEL TOMOGRAM PARTICLES BOX_SIZE [BATCH]
//
// TOMOGRAM is an MRC file, little-endian, not compressed; PARTICLES a text file with x, y and z of each particle in voxels,
// a line each. Prints a line a particle: x y z class probability.
#include <cinetomo.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

// A file in the address space of the process, read as its pages are touched. Whoever shortens it meanwhile kills the
// process.
class MappedFile {
 public:
  explicit MappedFile(const std::string &path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0) throw std::system_error(errno, std::generic_category(), path);
    size_ = static_cast<std::size_t>(status.st_size);
    void *address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    const int reason = errno;
    close(file);
    if (address == MAP_FAILED) throw std::system_error(reason, std::generic_category(), path);
    data_ = static_cast<const std::byte *>(address);
  }
  ~MappedFile() { munmap(const_cast<std::byte *>(data_), size_); }
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  const std::byte *data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const std::byte *data_ = nullptr;
  std::size_t size_ = 0;
};

// The volume of an MRC2014 file, seen where it lies. Throws if it is not one that can be used as it is.
static cinetomo::Volume volume_of(const MappedFile &file, const std::string &path) {
  const auto fail = [&](const std::string &reason) { throw std::runtime_error(path + ": " + reason); };
  constexpr std::size_t header_bytes = 1024;
  if (file.size() < header_bytes || std::memcmp(file.data() + 208, "MAP ", 4) != 0) fail("not an MRC file");
  if (file.data()[212] != std::byte{0x44}) fail("big-endian; this example reads little-endian files");
  std::array<std::int32_t, 24> words{};
  std::memcpy(words.data(), file.data(), sizeof words);
  const auto [nx, ny, nz, mode] = std::array{words[0], words[1], words[2], words[3]};
  if (nx < 1 || ny < 1 || nz < 1) fail("the shape is not positive");
  if (words[16] != 1 || words[17] != 2 || words[18] != 3) fail("the axes are not in the order x, y, z");

  cinetomo_volume raw{};
  raw.struct_size = sizeof raw;
  raw.memory = CINETOMO_MEMORY_CPU;
  switch (mode) {
    case 0: raw.dtype = CINETOMO_DTYPE_I8; break;
    case 1: raw.dtype = CINETOMO_DTYPE_I16; break;
    case 2: raw.dtype = CINETOMO_DTYPE_F32; break;
    case 6: raw.dtype = CINETOMO_DTYPE_U16; break;
    case 12: raw.dtype = CINETOMO_DTYPE_F16; break;
    default: fail("mode " + std::to_string(mode) + "; this example reads modes 0, 1, 2, 6 and 12");
  }
  const auto offset = header_bytes + static_cast<std::size_t>(std::max(words[23], 0));
  if (offset % 4 != 0 || offset >= file.size()) fail("the voxels do not begin where an array could");
  raw.data = file.data() + offset;
  raw.data_bytes = file.size() - offset;  // the library checks the shape against it
  raw.shape[0] = 1;
  raw.shape[1] = nz;
  raw.shape[2] = ny;
  raw.shape[3] = nx;
  float cell = 0.0f;
  std::memcpy(&cell, &words[10], sizeof cell);
  if (words[7] > 0 && cell > 0.0f) raw.voxel_size = static_cast<double>(cell) / words[7];
  return cinetomo::Volume(raw);
}

// z, y, x of each particle.
static std::vector<std::array<float, 3>> read_positions(const std::string &path) {
  std::ifstream file(path);
  std::vector<std::array<float, 3>> positions;
  for (float x, y, z; file >> x >> y >> z;) positions.push_back({z, y, x});
  if (!file.eof() || positions.empty()) throw std::runtime_error(path + ": not a list of x y z");
  return positions;
}

static void stream(char **argv, std::size_t batch_size) {
  const cinetomo::Plugin plugin = cinetomo::Plugin::find();
  const cinetomo::Context context = plugin.context();
  const cinetomo::Model model = context.model_load(argv[1]);
  const std::vector<std::string> class_names = model.info().class_names;
  const MappedFile file(argv[2]);
  const cinetomo::Volume volume = volume_of(file, argv[2]);
  const cinetomo::Tomogram tomogram(volume);
  const std::vector<std::array<float, 3>> positions = read_positions(argv[3]);

  const cinetomo::Pick pick(plugin);
  cinetomo_extract_options options = pick.extract_options();
  options.box_size = std::stol(argv[4]);
  const std::int64_t edge = options.box_size;
  for (std::size_t first = 0; first < positions.size(); first += batch_size) {
    const std::size_t last = std::min(first + batch_size, positions.size());
    const auto at = [&](std::size_t index) { return positions.begin() + static_cast<std::ptrdiff_t>(index); };
    const cinetomo::Boxes boxes = pick.extract(context, tomogram, {at(first), at(last)}, options);

    cinetomo::Volume batch(boxes.voxels, {static_cast<std::int64_t>(last - first), edge, edge, edge});
    batch.voxel_size(volume.get()->voxel_size);
    const std::vector<float> probabilities = model.classify(batch);
    for (std::size_t i = 0; i < last - first; ++i) {
      const auto row = probabilities.begin() + static_cast<std::ptrdiff_t>(i * class_names.size());
      const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(class_names.size()));
      const auto [z, y, x] = positions[first + i];
      std::printf("%g %g %g %s %.4f\n", static_cast<double>(x), static_cast<double>(y), static_cast<double>(z),
                  class_names[static_cast<std::size_t>(best - row)].c_str(), static_cast<double>(*best));
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 5 || argc > 6) {
    std::fprintf(stderr, "usage: stream_boxes MODEL TOMOGRAM PARTICLES BOX_SIZE [BATCH]\n");
    return 2;
  }
  try {
    const long batch_size = argc > 5 ? std::stol(argv[5]) : 64;
    if (batch_size < 1) throw std::runtime_error("BATCH is at least 1");
    stream(argv, static_cast<std::size_t>(batch_size));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "stream_boxes: %s\n", error.what());
    return 1;
  }
}
