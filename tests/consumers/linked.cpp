// Linked against the installed library: what cinetomo.hpp promises of errors, progress, cancelling and lifetimes.
#include <cinetomo.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <type_traits>
#if __has_include(<mdspan>)
#include <mdspan>
#endif
#if __has_include(<span>)
#include <span>
#endif

#define CHECK(condition) \
  if (!(condition)) std::printf("line %d: %s\n", __LINE__, #condition), std::exit(1)

template <class Function>
static std::int32_t status_of(Function function) {
  try {
    function();
  } catch (const cinetomo::Error &error) {
    CHECK(*error.what() != '\0');
    return error.status();
  }
  return CINETOMO_STATUS_OK;
}

// Handles are moved and not copied.
template <class Handle>
constexpr bool is_move_only = std::is_nothrow_move_constructible_v<Handle> && std::is_move_assignable_v<Handle> &&
                              !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;
static_assert(is_move_only<cinetomo::Context> && is_move_only<cinetomo::Model> && is_move_only<cinetomo::Cancel>);
static_assert(std::is_same_v<cinetomo::error, cinetomo::Error>);
static_assert(std::is_base_of_v<std::runtime_error, cinetomo::error>);
// A view of constant values is no place for results.
static_assert(!std::is_convertible_v<const std::vector<float> &, cinetomo::Span<float>>);
static_assert(!std::is_convertible_v<std::vector<double> &, cinetomo::Span<const float>>);

// What std::mdspan looks like, for compilers that have none.
template <std::size_t Rank>
struct Mdspan {
  struct Mapping {
    std::size_t n;
    std::size_t required_span_size() const { return n; }
  };
  const float *data;
  std::array<std::size_t, Rank> extents, strides;

  const float *data_handle() const { return data; }
  static constexpr std::size_t rank() { return Rank; }
  std::size_t extent(std::size_t axis) const { return extents[axis]; }
  std::size_t stride(std::size_t axis) const { return strides[axis]; }
  Mapping mapping() const {
    std::size_t n = 1;
    for (std::size_t axis = 0; axis < Rank; ++axis) n += (extents[axis] - 1) * strides[axis];
    return {n};
  }
};

// However voxels and labels are handed over, the scores are the same.
static void check_views(const cinetomo::Model &model, std::vector<float> &voxels) {
  const std::vector<float> scores = model.classify({voxels, {4, 16, 16, 16}});
  CHECK(model.classify({cinetomo::Span<const float>(voxels), {4, 16, 16, 16}}) == scores);
  CHECK(model.classify({voxels.data(), {4, 16, 16, 16}}) == scores);

  // A view into a larger volume, and the same with x slowest.
  std::vector<float> wide(4 * 16 * 20 * 32), turned(voxels.size());
  for (std::size_t i = 0; i < voxels.size(); ++i) {
    const std::size_t n = i / 4096, z = i / 256 % 16, y = i / 16 % 16, x = i % 16;
    wide[n * 16 * 20 * 32 + z * 20 * 32 + y * 32 + 2 * x] = voxels[i];
    turned[n + 4 * z + 64 * y + 1024 * x] = voxels[i];
  }
  CHECK(model.classify(cinetomo::Volume(Mdspan<4>{wide.data(), {4, 16, 16, 16}, {16 * 20 * 32, 20 * 32, 32, 2}})) ==
        scores);
  CHECK(model.classify(cinetomo::Volume(Mdspan<4>{turned.data(), {4, 16, 16, 16}, {1, 4, 64, 1024}})) == scores);
  const cinetomo::Volume one(Mdspan<3>{&voxels[4096], {16, 16, 16}, {256, 16, 1}});
  CHECK(model.classify(one) == model.classify({&voxels[4096], {1, 16, 16, 16}}));
#ifdef __cpp_lib_mdspan
  using Cubes = std::extents<std::size_t, std::dynamic_extent, 16, 16, 16>;
  CHECK(model.classify(cinetomo::Volume(std::mdspan<const float, Cubes>(voxels.data(), 4))) == scores);
  CHECK(model.classify(cinetomo::Volume(std::mdspan<float, Cubes, std::layout_left>(turned.data(), 4))) == scores);
#endif
#ifdef __cpp_lib_span
  CHECK(model.classify({std::span<const float>(voxels), {4, 16, 16, 16}}) == scores);
#endif

  // Results go where the caller wants them, and only if they fit.
  std::array<float, 8> mine{};
  model.classify_into({voxels, {4, 16, 16, 16}}, mine);
  CHECK(std::equal(scores.begin(), scores.end(), mine.begin()));
  std::vector<float> embeddings(4 * 1024);
  model.embed_into({voxels, {4, 16, 16, 16}}, embeddings);
  CHECK(embeddings == model.embed({voxels, {4, 16, 16, 16}}));
  CHECK(status_of([&] { model.classify_into({voxels, {4, 16, 16, 16}}, {mine.data(), 7}); }) ==
        CINETOMO_STATUS_BUFFER_TOO_SMALL);
  CHECK(status_of([&] { model.classify_into({voxels, {4, 16, 16, 16}}, {}); }) == CINETOMO_STATUS_INVALID_ARGUMENT);
}

// Loading at run time gives the very library that is linked; what is none is refused with a reason.
static void check_loading(const cinetomo::Plugin &linked, const char *manifest) {
  const cinetomo::Plugin found = cinetomo::Plugin::find(manifest);
  CHECK(found.api() == linked.api());
  CHECK(cinetomo::Plugin::load(cinetomo::find_in({manifest}).manifest).api() == linked.api());
  CHECK(status_of([] { cinetomo::Plugin::find("/nowhere"); }) == CINETOMO_STATUS_IO);
  CHECK(status_of([] { cinetomo::Plugin::open("/nowhere/libcinetomo.so"); }) == CINETOMO_STATUS_IO);
  const std::string library = cinetomo::find_in({manifest}).manifest.library.string();
  CHECK(status_of([&] { cinetomo::Plugin::open(library, "cinetomo_get_something"); }) ==
        CINETOMO_STATUS_UNSUPPORTED);
  cinetomo_api older = *linked.api();
  older.struct_size = 64;
  try {
    cinetomo::Plugin plugin(&older);
    CHECK(false);
  } catch (const cinetomo::error &thrown) {
    CHECK(std::string(thrown.what()).find("64 bytes") != std::string::npos);
  }
}

int main(int, char **argv) {
  const auto plugin = cinetomo::Plugin::linked();
  CHECK(plugin.version() == plugin.runtime_info().version);
  CHECK(plugin.extension<void>("cinetomo.nothing/1") == nullptr);

  // Errors carry the status and say what was wrong.
  const auto context = plugin.context();
  CHECK(status_of([&] { context.model_load("/nowhere.safetensors"); }) == CINETOMO_STATUS_IO);
  CHECK(status_of([&] { context.model_random({{"one"}}); }) == CINETOMO_STATUS_INVALID_ARGUMENT);
  CHECK(status_of([] { cinetomo::Volume(std::vector<float>(), {1, 1, 1, 1}); }) == CINETOMO_STATUS_INVALID_ARGUMENT);
  CHECK(status_of([] { cinetomo::Plugin(nullptr); }) == CINETOMO_STATUS_UNSUPPORTED);

  CHECK(status_of([&] { plugin.weights_inspect("/nowhere.pth"); }) == CINETOMO_STATUS_IO);

  // A model outlives the context and the log that it was made with.
  int n_lines = 0;
  cinetomo_context_options options = plugin.context_options();
  options.log_level = CINETOMO_LOG_LEVEL_TRACE;
  auto noisy = std::make_unique<cinetomo::Context>(plugin.context(options, [&](std::int32_t, const char *) {
    ++n_lines;
    throw std::runtime_error("dropped");
  }));
  const auto model = noisy->model_random({{"a", "b"}, "i3d", 7});
  noisy.reset();
  CHECK(n_lines > 0);
  const auto info = model.info();
  CHECK(info.backbone == "i3d" && info.class_names == (std::vector<std::string>{"a", "b"}));
  CHECK(info.checkpoint_sha256.empty() && info.n_features == 1024);

  std::vector<float> voxels(4 * 16 * 16 * 16);
  for (std::size_t i = 0; i < voxels.size(); ++i) voxels[i] = static_cast<float>(i * 7919 % 101);
  const cinetomo::Volume boxes(voxels, {4, 16, 16, 16});
  const std::vector<float> probabilities = model.classify(boxes);
  CHECK(probabilities.size() == 8 && model.embed(boxes).size() == 4 * 1024);
  for (std::size_t i = 0; i < 8; i += 2) CHECK(std::abs(probabilities[i] + probabilities[i + 1] - 1.0f) < 1e-5f);
  CHECK(status_of([&] { model.classify({voxels, {5, 16, 16, 16}}); }) == CINETOMO_STATUS_INVALID_ARGUMENT);
  const std::vector<float> scores{0.9f, 0.1f, 0.2f, 0.8f};
  CHECK(plugin.evaluate(scores, {0, 1}, 2).accuracy == 1.0);
  CHECK(plugin.evaluate(scores, {0, 0}, 2).balanced_accuracy == 0.5);
  CHECK(plugin.evaluate_classes(scores, {0, 1}, 2)[1].recall == 1.0);
  CHECK(plugin.evaluate_roc(scores, {0, 1}, 2, 1).size() == 3 && plugin.evaluate_roc(scores, {0, 0}, 2, 1).empty());
  CHECK(plugin.evaluate_reliability(scores, {0, 1}, 2).size() == 15);

  // Splits are whole, and groups stay together.
  const std::vector<std::int32_t> labels{0, 0, 1, 1, 0, 0, 1, 1, -1}, groups{1, 2, 1, 2, 3, 4, 3, 4, 4};
  const auto parts = plugin.split(labels, groups, plugin.split_options());
  CHECK(parts.size() == 9 && parts[0] == parts[2] && parts[5] == parts[7] && parts[8] == CINETOMO_PART_NONE);
  CHECK(status_of([&] { plugin.split(labels, {1}, plugin.split_options()); }) == CINETOMO_STATUS_INVALID_ARGUMENT);

  // Calibration gives a new model, with thresholds to reject by.
  CHECK(status_of([&] { model.predict(boxes, CINETOMO_REJECT_PROBABILITY); }) == CINETOMO_STATUS_INVALID_ARGUMENT);
  auto calibration = plugin.calibration_options();
  calibration.coverage = 0.5;
  const auto calibrated = model.calibrate(boxes, {0, 1, 0, 1}, calibration);
  CHECK(calibrated.confidence().n_calibration == 4 && model.confidence().n_calibration == 0);
  const auto predictions = calibrated.predict(boxes, CINETOMO_REJECT_PROBABILITY);
  CHECK(predictions.labels.size() == 4 && predictions.distances.empty());
  CHECK(predictions.probabilities == calibrated.classify(boxes));
  CHECK(std::count(predictions.labels.begin(), predictions.labels.end(), -1) ==
        4 - calibrated.confidence().probability.n_accepted);

  check_views(model, voxels);
  check_loading(plugin, argv[1]);

  // What was moved from is empty, and says so.
  cinetomo::Model first = context.model_random({{"a", "b"}});
  const cinetomo::Model second = std::move(first);
  CHECK(second.info().backbone == "i3d");
  CHECK(status_of([&] { first.info(); }) == CINETOMO_STATUS_NULL_ARGUMENT);

  // Evidence, a map for each box; of a class that there is.
  auto explanation = plugin.grad_cam_options();
  explanation.stage = "Mixed_3c";
  CHECK(model.grad_cam(boxes, explanation).size() == voxels.size());
  explanation.class_index = 2;
  CHECK(status_of([&] { model.grad_cam(boxes, explanation); }) == CINETOMO_STATUS_INVALID_ARGUMENT);

  // Two groups of embeddings, in a plane and apart.
  const cinetomo::Project2d project2d(plugin);
  std::vector<float> embeddings;
  for (int i = 0; i < 20; ++i) embeddings.insert(embeddings.end(), {i % 2 * 50.0f, i * 0.1f, 1.0f});
  std::vector<std::int32_t> groups_of_two(20);
  for (int i = 0; i < 20; ++i) groups_of_two[i] = i % 2;
  CHECK(project2d.tsne(context, embeddings, 3, project2d.options()).size() == 40);
  const auto apart = project2d.separation(context, embeddings, 3, groups_of_two);
  CHECK(apart.n_evaluated == 20 && apart.knn_accuracy == 1.0 && apart.silhouette > 0.9);
  CHECK(status_of([&] { project2d.tsne(context, embeddings, 7, project2d.options()); }) ==
        CINETOMO_STATUS_INVALID_ARGUMENT);

  const std::uint64_t to_classify = model.memory_estimate({16, 16, 16}, CINETOMO_STAGE_CLASSIFY);
  CHECK(to_classify > 4u * static_cast<std::uint64_t>(info.n_parameters));
  CHECK(model.memory_estimate({16, 16, 16}, CINETOMO_STAGE_TRAIN, 4) > to_classify);
  CHECK(status_of([&] { model.memory_estimate({16, 0, 16}, CINETOMO_STAGE_TRAIN); }) ==
        CINETOMO_STATUS_INVALID_ARGUMENT);

  // Progress never goes back, ends at 1; false cancels; an exception comes out as it went in.
  double last = 0.0;
  model.classify(boxes, {[&](const cinetomo_progress &progress) {
                   CHECK(progress.fraction >= last);
                   last = progress.fraction;
                   return true;
                 }});
  CHECK(last == 1.0);
  CHECK(status_of([&] { model.classify(boxes, {[](const cinetomo_progress &) { return false; }}); }) ==
        CINETOMO_STATUS_CANCELLED);
  int n_calls = 0;
  try {
    model.classify(boxes, {[&](const cinetomo_progress &) -> bool {
                     ++n_calls;
                     throw std::out_of_range("mine");
                   }});
    CHECK(false);
  } catch (const std::out_of_range &error) {
    CHECK(error.what() == std::string("mine"));
  }
  CHECK(n_calls == 1);

  // A tomogram of known particles, read piece by piece, in which they are found; boxes around them.
  const cinetomo::Synthetic synthetic(plugin);
  auto scene = synthetic.options();
  scene.voxel_size = 20.0;
  scene.snr = 5.0;
  const auto simulated = synthetic.simulate_tomogram(context, nullptr, {2, 2, 6}, {32, 48, 40}, scene);
  CHECK(simulated.voxels.size() == 32 * 48 * 40 && simulated.particles.size() == 3);
  CHECK(simulated.particles[2].label == 6 && simulated.particles[0].radius > 2.0);
  const auto read = [&](const std::array<std::int64_t, 3> &start, const std::array<std::int64_t, 3> &extent,
                        float *out) {
    for (std::int64_t z = 0; z < extent[0]; ++z)
      for (std::int64_t y = 0; y < extent[1]; ++y)
        for (std::int64_t x = 0; x < extent[2]; ++x)
          *out++ = simulated.voxels[static_cast<std::size_t>(
              ((start[0] + z) * 48 + start[1] + y) * 40 + start[2] + x)];
  };
  const cinetomo::Pick picker(plugin);
  const cinetomo::Tomogram tomogram({32, 48, 40}, 20.0, CINETOMO_CONTRAST_DARK, read);
  auto how = picker.pick_options();
  how.particle_diameter = 130.0;
  how.min_distance = 6.0;
  how.n_max = 3;
  const auto picks = picker.pick(context, tomogram, how);
  CHECK(picks.positions.size() == 3 && picks.scores.size() == 3 && picks.scores[0] >= picks.scores[2]);
  for (const auto &particle : simulated.particles) {
    double nearest = 1e9;
    for (const auto &position : picks.positions) {
      double square = 0;
      for (std::size_t i = 0; i < 3; ++i) square += (position[i] - particle.position[i]) * (position[i] - particle.position[i]);
      nearest = std::min(nearest, square);
    }
    CHECK(nearest < 9.0);
  }
  auto cut = picker.extract_options();
  cut.box_size = 8;
  const auto around = picker.extract(context, tomogram, picks.positions, cut);
  CHECK(around.voxels.size() == 3 * 512 && around.indices == (std::vector<std::int64_t>{0, 1, 2}));
  const cinetomo::Tomogram unreadable({32, 48, 40}, 20.0, CINETOMO_CONTRAST_DARK,
                                      [](const auto &, const auto &, float *) { throw std::out_of_range("disk"); });
  try {
    picker.pick(context, unreadable, how);
    CHECK(false);
  } catch (const std::out_of_range &error) {
    CHECK(error.what() == std::string("disk"));
  }

  // Boxes that are fetched train and classify as those in memory; what the reader throws comes out.
  {
    auto once = plugin.fine_tune_options();
    once.n_epochs = 1;
    const std::vector<std::int32_t> labels{0, 1, 0, 1};
    const std::size_t n_voxels = voxels.size() / 4;
    const cinetomo::Dataset fetched({4, 16, 16, 16}, [&](cinetomo::Span<const std::int64_t> indices, float *out) {
      for (const std::int64_t index : indices) {
        out = std::copy_n(voxels.begin() + static_cast<std::ptrdiff_t>(n_voxels) * index, n_voxels, out);
      }
    });
    const auto of_memory = model.fine_tune(boxes, labels, once);
    const auto of_fetched = model.fine_tune(fetched, labels, once);
    CHECK(of_fetched.classify(boxes) == of_memory.classify(boxes));
    CHECK(of_fetched.classify(fetched) == of_memory.classify(boxes));
    const auto how_sure = plugin.calibration_options();
    CHECK(of_fetched.calibrate(fetched, labels, how_sure).confidence().temperature ==
          of_memory.calibrate(boxes, labels, how_sure).confidence().temperature);
    const cinetomo::Dataset unreadable({4, 16, 16, 16}, [](const auto &, float *) { throw std::out_of_range("disk"); });
    try {
      model.fine_tune(unreadable, labels, once);
      CHECK(false);
    } catch (const std::out_of_range &error) {
      CHECK(error.what() == std::string("disk"));
    }
  }

  // A flag raised by another thread stops a long call.
  const cinetomo::Cancel cancel = plugin.cancel();
  auto training = plugin.fine_tune_options();
  training.n_epochs = 100000;
  std::atomic<bool> started{false};
  std::thread other([&] {
    while (!started) std::this_thread::yield();
    cancel.raise();
  });
  const auto start = [&](const cinetomo_progress &) { return started = true; };
  CHECK(status_of([&] { model.fine_tune(boxes, {0, 1, 0, 1}, training, {start, &cancel}); }) ==
        CINETOMO_STATUS_CANCELLED);
  other.join();
  std::printf("ok\n");
}
