// cinetomo for C++17: the C contract of cinetomo.h as objects that free themselves, exceptions and lambdas.
//
//     auto plugin = cinetomo::Plugin::find();                    // by its manifest; or Plugin::linked(), Plugin::open()
//     auto context = plugin.context();
//     auto video = context.model_from_video("i3d-kinetics-400.ckpt", {{"ribosome", "ferritin"}});
//
//     std::vector<float> voxels = ...;                                               // 20 x 32 x 32 x 32, x fastest
//     cinetomo::Volume subtomograms(voxels, {20, 32, 32, 32});
//     subtomograms.voxel_size(10.0).contrast(CINETOMO_CONTRAST_DARK);
//     auto model = video.fine_tune(subtomograms, labels);
//     std::vector<float> probabilities = model.classify(others);                     // one row of classes each
//
// Everything goes through the table `cinetomo_api`, so the same code serves programs that link the library and hosts
// that load it at run time. Voxels, labels and results may be in any row of values: they are seen through `Span`, voxels
// also through an mdspan, and not copied. Failures throw cinetomo::Error. A progress function may throw: the call is
// cancelled, and the exception comes out of it. Handles (Context, Model, Cancel) are moved, not copied, and free
// themselves. Objects are as thread-safe as the C functions: calls on one model take turns.
// A model keeps what it needs of its context alive, and the library stays loaded to the end of the process.
#ifndef CINETOMO_HPP
#define CINETOMO_HPP

#include "cinetomo.h"
#include "cinetomo/error.hpp"
#include "cinetomo/manifest.hpp"
#include "cinetomo/span.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace cinetomo {

// Receives progress on the calling thread; false stops the call with CINETOMO_STATUS_CANCELLED.
using Progress = std::function<bool(const cinetomo_progress &)>;

// Receives a CINETOMO_LOG_LEVEL_* and a line, on the thread that made the call. What it throws is dropped.
using Log = std::function<void(std::int32_t, const char *)>;

namespace detail {

// Calls function(cinetomo_error **); throws what it reports.
template <class Function>
void check(const cinetomo_api *api, Function function) {
  cinetomo_error *error = nullptr;
  const std::int32_t status = function(&error);
  if (status == CINETOMO_STATUS_OK) return;
  const char *message = api->error_message(error);
  const Error thrown(status, message != nullptr ? message : api->status_name(status));
  api->error_free(error);
  throw thrown;
}

// Calls function(buffer, capacity, out_len, out_error) for the length, then for the values.
template <class T, class Function>
std::vector<T> fetch(const cinetomo_api *api, Function function) {
  std::size_t len = 0;
  check(api, [&](cinetomo_error **error) { return function(nullptr, 0, &len, error); });
  std::vector<T> values(len);
  check(api, [&](cinetomo_error **error) { return function(values.data(), values.size(), &len, error); });
  return values;
}

// A struct filled with its defaults.
template <class T>
T defaults(const cinetomo_api *api, std::int32_t (*init)(T *, std::size_t)) {
  T value{};
  check(api, [&](cinetomo_error **) { return init(&value, sizeof value); });
  return value;
}

template <class T>
using Handle = std::unique_ptr<T, void (*)(T *)>;

// Names as C has them; valid while `names` is.
inline std::vector<const char *> pointers(const std::vector<std::string> &names) {
  std::vector<const char *> list;
  for (const std::string &name : names) list.push_back(name.c_str());
  return list;
}

template <class T>
constexpr std::int32_t dtype() {
  if constexpr (std::is_same_v<T, float>) return CINETOMO_DTYPE_F32;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return CINETOMO_DTYPE_U8;
  else if constexpr (std::is_same_v<T, std::int8_t>) return CINETOMO_DTYPE_I8;
  else if constexpr (std::is_same_v<T, std::uint16_t>) return CINETOMO_DTYPE_U16;
  else if constexpr (std::is_same_v<T, std::int16_t>) return CINETOMO_DTYPE_I16;
#ifdef __FLT16_MANT_DIG__
  else if constexpr (std::is_same_v<T, _Float16>) return CINETOMO_DTYPE_F16;
#endif
  else static_assert(!sizeof(T), "voxels are float, int8_t, uint8_t, int16_t or uint16_t; describe others by hand");
}

}  // namespace detail

// A flag that any thread may raise to stop a running call.
class Cancel {
 public:
  // From Plugin::cancel().
  explicit Cancel(const cinetomo_api *api) : api_(api), handle_(nullptr, api->cancel_free) {
    cinetomo_cancel *handle = nullptr;
    detail::check(api, [&](cinetomo_error **error) { return api->cancel_new(&handle, error); });
    handle_.reset(handle);
  }
  // Stops the calls that this flag was given to, and every later one.
  void raise() const { api_->cancel_raise(handle_.get()); }
  // The handle, for the C interface.
  const cinetomo_cancel *get() const { return handle_.get(); }

 private:
  const cinetomo_api *api_;
  detail::Handle<cinetomo_cancel> handle_;
};

// How a long call is followed and stopped: model.classify(volume, {progress, &cancel}).
struct Hooks {
  Progress progress = nullptr;     // called now and then during the call
  const Cancel *cancel = nullptr;  // stops it, too; must outlive the call
};

namespace detail {

// Calls function(const cinetomo_hooks *), whose callbacks run `hooks`. An exception of the progress function stops the
// call and is thrown on when the call has returned: it must not unwind through the library.
template <class Function>
auto with_hooks(const Hooks &hooks, Function function) {
  struct State {
    const Progress &progress;
    std::exception_ptr thrown;
  } state{hooks.progress, nullptr};

  cinetomo_hooks raw{};
  raw.struct_size = sizeof raw;
  raw.user_data = &state;
  raw.cancel = hooks.cancel != nullptr ? hooks.cancel->get() : nullptr;
  if (hooks.progress) {
    raw.progress = [](void *user_data, const cinetomo_progress *progress) -> std::int32_t {
      auto &mine = *static_cast<State *>(user_data);
      try {
        return mine.thrown == nullptr && mine.progress(*progress) ? 0 : 1;
      } catch (...) {
        mine.thrown = std::current_exception();
        return 1;
      }
    };
  }
  try {
    auto result = function(&raw);
    if (state.thrown) std::rethrow_exception(state.thrown);
    return result;
  } catch (const Error &) {
    if (state.thrown) std::rethrow_exception(state.thrown);
    throw;
  }
}

}  // namespace detail

// A batch of subtomograms in the caller's memory, which must outlive its use: shape n, z, y, x, x fastest.
class Volume {
 public:
  // A number for each of n, z, y, x.
  using Shape = std::array<std::int64_t, 4>;

  // A row of voxels (vector, array, span), whose number the library checks against the shape. Throws if there are none.
  template <class Row, std::enable_if_t<detail::IsRow<Row>::value, int> = 0>
  Volume(const Row &voxels, Shape shape) : Volume(std::data(voxels), shape) {
    if (std::size(voxels) == 0) throw Error(CINETOMO_STATUS_INVALID_ARGUMENT, "a volume needs voxels; there are none");
    raw_.data_bytes = std::size(voxels) * sizeof *std::data(voxels);
  }

  // An mdspan of n, z, y, x, or of one subtomogram z, y, x; of any layout that has strides.
  template <class View, std::enable_if_t<detail::IsMdspan<View>::value, int> = 0>
  explicit Volume(const View &view) : Volume(view.data_handle(), {1, 1, 1, 1}) {
    static_assert(View::rank() == 3 || View::rank() == 4, "an mdspan of subtomograms is n, z, y, x or z, y, x");
    constexpr std::size_t first = 4 - View::rank();
    const std::size_t n_voxels = static_cast<std::size_t>(view.mapping().required_span_size());
    if (n_voxels == 0) throw Error(CINETOMO_STATUS_INVALID_ARGUMENT, "a volume needs voxels; there are none");
    raw_.data_bytes = n_voxels * sizeof *view.data_handle();
    raw_.strides[0] = static_cast<std::int64_t>(n_voxels);
    for (std::size_t axis = 0; axis < View::rank(); ++axis) {
      raw_.shape[first + axis] = static_cast<std::int64_t>(view.extent(axis));
      raw_.strides[first + axis] = static_cast<std::int64_t>(view.stride(axis));
    }
  }

  // Voxels whose number the caller vouches for.
  template <class T>
  Volume(const T *voxels, Shape shape) {
    raw_.struct_size = sizeof raw_;
    raw_.data = voxels;
    std::copy(shape.begin(), shape.end(), raw_.shape);
    raw_.dtype = detail::dtype<T>();
    raw_.memory = CINETOMO_MEMORY_CPU;
  }

  // A volume described by hand: half precision, or in the memory of a GPU.
  explicit Volume(const cinetomo_volume &raw) : raw_(raw) {}

  // Distances between neighbours along n, z, y, x, in voxels.
  Volume &strides(Shape strides) {
    std::copy(strides.begin(), strides.end(), raw_.strides);
    return *this;
  }
  // Edge of a voxel in angstrom.
  Volume &voxel_size(double angstrom) {
    raw_.voxel_size = angstrom;
    return *this;
  }
  // A CINETOMO_CONTRAST_*.
  Volume &contrast(std::int32_t contrast) {
    raw_.contrast = contrast;
    return *this;
  }
  // The axis along the electron beam, a CINETOMO_AXIS_*.
  Volume &beam_axis(std::int32_t axis) {
    raw_.beam_axis = axis;
    return *this;
  }
  // The description, for the C interface.
  const cinetomo_volume *get() const { return &raw_; }

 private:
  cinetomo_volume raw_{};
};

// Subtomograms that are fetched when they are wanted, and need not fit into memory: for Model::fine_tune, calibrate and
// classify, by the extension cinetomo.dataset/1.
class Dataset {
 public:
  // Fetches the boxes `indices` into out, one after the other, x fastest. Runs on the thread that makes the call, while the
  // network computes on another. What it throws comes out of the call.
  using Read = std::function<void(Span<const std::int64_t> indices, float *out)>;

  // Of shape n, z, y, x.
  Dataset(Volume::Shape shape, Read read) : read_(std::move(read)) {
    raw_.struct_size = sizeof raw_;
    std::copy(shape.begin(), shape.end(), raw_.shape);
  }

  // Edge of a voxel in angstrom.
  Dataset &voxel_size(double angstrom) {
    raw_.voxel_size = angstrom;
    return *this;
  }
  // A CINETOMO_CONTRAST_*.
  Dataset &contrast(std::int32_t contrast) {
    raw_.contrast = contrast;
    return *this;
  }
  // The axis along the electron beam, a CINETOMO_AXIS_*.
  Dataset &beam_axis(std::int32_t axis) {
    raw_.beam_axis = axis;
    return *this;
  }
  // What the voxels are known by when a training goes on; otherwise all are fetched and hashed.
  Dataset &identity(std::string identity) {
    identity_ = std::move(identity);
    return *this;
  }

 private:
  friend class Model;

  // Calls function(const cinetomo_dataset *). An exception of the reader stops the call and is thrown on when it has
  // returned: it must not unwind through the library.
  template <class Function>
  auto with_c(Function function) const {
    struct State {
      const Read &read;
      std::exception_ptr thrown;
    } state{read_, nullptr};

    cinetomo_dataset raw = raw_;
    raw.identity = identity_ ? identity_->c_str() : nullptr;
    raw.user_data = &state;
    raw.read = [](void *user_data, const std::int64_t *indices, std::size_t n, float *out, char *,
                  std::size_t) -> std::int32_t {
      auto &mine = *static_cast<State *>(user_data);
      try {
        mine.read({indices, n}, out);
        return 0;
      } catch (...) {
        mine.thrown = std::current_exception();
        return 1;
      }
    };
    try {
      return function(&raw);
    } catch (const Error &) {
      if (state.thrown) std::rethrow_exception(state.thrown);
      throw;
    }
  }

  Read read_;
  std::optional<std::string> identity_;
  cinetomo_dataset raw_{};
};

// What network to make: {{"ribosome", "ferritin"}}, and what differs from the defaults.
struct ModelOptions {
  std::vector<std::string> class_names = {};             // label i means the i-th
  std::string backbone = {};                             // "" = recognised from the checkpoint
  std::uint64_t seed = 0;                                // of what starts as random numbers
  double dropout = 0.0;                                  // before the head, while training
  std::optional<cinetomo_preprocess> preprocess = {};    // from Plugin::preprocess()
};

// A copy of what a model says of itself; see cinetomo_model_info.
struct ModelInfo {
  std::string backbone;                    // name of the network
  std::vector<std::string> class_names;    // label i means the i-th
  std::vector<std::string> stage_names;    // from input to output
  std::int64_t n_features;                 // length of an embedding
  std::int64_t n_parameters;               // trainable numbers
  std::array<std::int64_t, 3> input_size;  // z, y, x; 0 = as the subtomograms come
  double voxel_size;                       // angstrom, of the fine-tuning; 0 = unknown
  std::int32_t contrast;                   // of the fine-tuning, a CINETOMO_CONTRAST_*
  std::string checkpoint_sha256;           // of the video checkpoint; "" for a random start
  std::string metadata_json;               // everything that the model file says
};

// What Model::predict says of n subtomograms.
struct Predictions {
  std::vector<std::int32_t> labels;    // the class of each, -1 where a rule rejected it
  std::vector<float> probabilities;    // calibrated, a row of one number a class
  std::vector<float> distances;        // from the nearest class; empty unless CINETOMO_REJECT_DISTANCE is asked for
};

// A network with its preprocessing and class names. It never changes: fine-tuning returns a new one.
class Model {
 public:
  // Trains on subtomograms and their labels, counted from 0; options from Plugin::fine_tune_options().
  Model fine_tune(const Volume &subtomograms, Span<const std::int32_t> labels,
                  const cinetomo_fine_tune_options &options, const Hooks &hooks = {}) const {
    return fine_tune(subtomograms, labels, &options, hooks);
  }
  // As above, with the defaults.
  Model fine_tune(const Volume &subtomograms, Span<const std::int32_t> labels) const {
    return fine_tune(subtomograms, labels, nullptr, {});
  }

  // The same of subtomograms that are fetched. Throws UNSUPPORTED if the library does not have the extension.
  Model fine_tune(const Dataset &subtomograms, Span<const std::int32_t> labels,
                  const cinetomo_fine_tune_options &options, const Hooks &hooks = {}) const {
    return train(datasets()->fine_tune, subtomograms, labels, options, hooks);
  }

  // Probabilities: for each subtomogram a row of one number a class.
  std::vector<float> classify(const Volume &subtomograms, const Hooks &hooks = {}) const {
    return ask(api_->model_classify, subtomograms, hooks);
  }
  // The same of subtomograms that are fetched.
  std::vector<float> classify(const Dataset &subtomograms, const Hooks &hooks = {}) const {
    const auto *table = datasets();
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return subtomograms.with_c([&](const cinetomo_dataset *dataset) {
        return detail::fetch<float>(
            api_, [&](float *buffer, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
              return table->classify(get(), dataset, raw, buffer, capacity, len, error);
            });
      });
    });
  }
  // The same, written to the caller's memory: n times as many numbers as there are classes.
  void classify_into(const Volume &subtomograms, Span<float> probabilities, const Hooks &hooks = {}) const {
    ask_into(api_->model_classify, subtomograms, probabilities, hooks);
  }

  // The class of each subtomogram, or -1 where one of the rules (a sum of CINETOMO_REJECT_*) does not accept it.
  Predictions predict(const Volume &subtomograms, std::int32_t reject, const Hooks &hooks = {}) const {
    std::size_t n = 0;
    detail::check(api_, [&](cinetomo_error **error) {
      return api_->model_classify(get(), subtomograms.get(), nullptr, nullptr, 0, &n, error);
    });
    Predictions predictions;
    predictions.probabilities.resize(n);
    predictions.labels.resize(n / info().class_names.size());
    if (reject & CINETOMO_REJECT_DISTANCE) predictions.distances.resize(predictions.labels.size());
    cinetomo_predictions raw = detail::defaults(api_, api_->predictions_init);
    raw.labels = predictions.labels.data();
    raw.labels_capacity = predictions.labels.size();
    raw.probabilities = predictions.probabilities.data();
    raw.probabilities_capacity = predictions.probabilities.size();
    raw.distances = predictions.distances.empty() ? nullptr : predictions.distances.data();
    raw.distances_capacity = predictions.distances.size();
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw_hooks) {
      detail::check(api_, [&](cinetomo_error **error) {
        return api_->model_predict(get(), subtomograms.get(), reject, raw_hooks, &raw, error);
      });
      return predictions;
    });
  }

  // Calibrates on labelled subtomograms that the model was not trained on; options from Plugin::calibration_options().
  Model calibrate(const Volume &subtomograms, Span<const std::int32_t> labels,
                  const cinetomo_calibration_options &options, const Hooks &hooks = {}) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      cinetomo_model *model = nullptr;
      detail::check(api_, [&](cinetomo_error **error) {
        return api_->model_calibrate(get(), subtomograms.get(), labels.data(), labels.size(), &options, raw, &model,
                                     error);
      });
      return Model(api_, log_, model);
    });
  }

  // The same of subtomograms that are fetched.
  Model calibrate(const Dataset &subtomograms, Span<const std::int32_t> labels,
                  const cinetomo_calibration_options &options, const Hooks &hooks = {}) const {
    return train(datasets()->calibrate, subtomograms, labels, options, hooks);
  }

  // Its temperature and thresholds, and what they rest on.
  cinetomo_confidence confidence() const {
    cinetomo_confidence confidence = detail::defaults(api_, api_->confidence_init);
    detail::check(api_, [&](cinetomo_error **error) { return api_->model_confidence_get(get(), &confidence, error); });
    return confidence;
  }

  // Embeddings: for each subtomogram a row of info().n_features numbers.
  std::vector<float> embed(const Volume &subtomograms, const Hooks &hooks = {}) const {
    return ask(api_->model_embed, subtomograms, hooks);
  }
  // The same, written to the caller's memory.
  void embed_into(const Volume &subtomograms, Span<float> embeddings, const Hooks &hooks = {}) const {
    ask_into(api_->model_embed, subtomograms, embeddings, hooks);
  }

  // Where in each box the evidence for a class lies: for each subtomogram a map of the size of its box. Options from
  // Plugin::grad_cam_options(); see cinetomo_model_grad_cam.
  std::vector<float> grad_cam(const Volume &subtomograms, const cinetomo_grad_cam_options &options,
                              const Hooks &hooks = {}) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return detail::fetch<float>(
          api_, [&](float *buffer, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
            return api_->model_grad_cam(get(), subtomograms.get(), &options, raw, buffer, capacity, len, error);
          });
    });
  }

  // Writes the model to a file; one of that name is replaced once the new one is whole.
  void save(const std::string &path) const {
    detail::check(api_, [&](cinetomo_error **error) { return api_->model_save(get(), path.c_str(), error); });
  }

  // Bytes that work on boxes of that size (z, y, x) will take at once; see cinetomo_memory_estimate.
  std::uint64_t memory_estimate(const std::array<std::int64_t, 3> &box_size, std::int32_t stage,
                                std::int64_t batch_size = 0) const {
    std::uint64_t bytes = 0;
    detail::check(api_, [&](cinetomo_error **error) {
      return api_->memory_estimate(get(), box_size[0], box_size[1], box_size[2], batch_size, stage, &bytes, error);
    });
    return bytes;
  }

  // What it is: network, classes, sizes, history.
  ModelInfo info() const {
    cinetomo_model_info raw = detail::defaults(api_, api_->model_info_init);
    detail::check(api_, [&](cinetomo_error **error) { return api_->model_info_get(get(), &raw, error); });
    return {raw.backbone,
            {raw.class_names, raw.class_names + raw.n_classes},
            {raw.stage_names, raw.stage_names + raw.n_stages},
            raw.n_features,
            raw.n_parameters,
            {raw.input_size[0], raw.input_size[1], raw.input_size[2]},
            raw.voxel_size,
            raw.contrast,
            raw.checkpoint_sha256,
            raw.metadata_json};
  }

  // The handle, for the C interface.
  const cinetomo_model *get() const { return handle_.get(); }

 private:
  friend class Context;
  using Ask = decltype(cinetomo_api::model_classify);

  Model(const cinetomo_api *api, std::shared_ptr<const Log> log, cinetomo_model *handle)
      : api_(api), log_(std::move(log)), handle_(handle, api->model_free) {}

  Model fine_tune(const Volume &subtomograms, Span<const std::int32_t> labels,
                  const cinetomo_fine_tune_options *options, const Hooks &hooks) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      cinetomo_model *model = nullptr;
      detail::check(api_, [&](cinetomo_error **error) {
        return api_->model_fine_tune(get(), subtomograms.get(), labels.data(), labels.size(), options, raw, &model,
                                     error);
      });
      return Model(api_, log_, model);
    });
  }

  const cinetomo_dataset_api *datasets() const {
    const auto *table = static_cast<const cinetomo_dataset_api *>(api_->get_extension("cinetomo.dataset/1"));
    if (table == nullptr || table->struct_size < sizeof *table) {
      throw Error(CINETOMO_STATUS_UNSUPPORTED, "this cinetomo library has no extension cinetomo.dataset/1");
    }
    return table;
  }

  template <class Function, class Options>
  Model train(Function function, const Dataset &subtomograms, Span<const std::int32_t> labels, const Options &options,
              const Hooks &hooks) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return subtomograms.with_c([&](const cinetomo_dataset *dataset) {
        cinetomo_model *model = nullptr;
        detail::check(api_, [&](cinetomo_error **error) {
          return function(get(), dataset, labels.data(), labels.size(), &options, raw, &model, error);
        });
        return Model(api_, log_, model);
      });
    });
  }

  std::vector<float> ask(Ask function, const Volume &subtomograms, const Hooks &hooks) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return detail::fetch<float>(
          api_, [&](float *buffer, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
            return function(get(), subtomograms.get(), raw, buffer, capacity, len, error);
          });
    });
  }

  void ask_into(Ask function, const Volume &subtomograms, Span<float> results, const Hooks &hooks) const {
    detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      std::size_t len = 0;
      if (results.empty()) throw Error(CINETOMO_STATUS_INVALID_ARGUMENT, "there is no room for results");
      detail::check(api_, [&](cinetomo_error **error) {
        return function(get(), subtomograms.get(), raw, results.data(), results.size(), &len, error);
      });
      return len;
    });
  }

  const cinetomo_api *api_;
  std::shared_ptr<const Log> log_;  // the library may call it as long as the model lives
  detail::Handle<cinetomo_model> handle_;
};

// Where work runs, and the maker of models.
class Context {
 public:
  // A network whose weights come from a video checkpoint.
  Model model_from_video(const std::string &checkpoint, const ModelOptions &options, const Hooks &hooks = {}) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return make(options, [&](const cinetomo_model_options *raw_options, cinetomo_model **model,
                               cinetomo_error **error) {
        return api_->model_from_video(get(), checkpoint.c_str(), raw_options, raw, model, error);
      });
    });
  }

  // A network whose weights are random numbers: the baseline.
  Model model_random(const ModelOptions &options) const {
    return make(options, [&](const cinetomo_model_options *raw, cinetomo_model **model, cinetomo_error **error) {
      return api_->model_random(get(), raw, model, error);
    });
  }

  // A model from a file that Model::save wrote.
  Model model_load(const std::string &path) const {
    cinetomo_model *model = nullptr;
    detail::check(api_, [&](cinetomo_error **error) { return api_->model_load(get(), path.c_str(), &model, error); });
    return Model(api_, log_, model);
  }

  // The handle, for the C interface.
  const cinetomo_context *get() const { return handle_.get(); }
  // The table that it was made with.
  const cinetomo_api *api() const { return api_; }

 private:
  friend class Plugin;

  Context(const cinetomo_api *api, cinetomo_context_options options, Log log)
      : api_(api),
        log_(log ? std::make_shared<const Log>(std::move(log)) : nullptr),
        handle_(nullptr, api->context_free) {
    if (log_) {
      options.log_user_data = const_cast<Log *>(log_.get());
      options.log = [](void *user_data, std::int32_t level, const char *message) {
        try {
          (*static_cast<const Log *>(user_data))(level, message);
        } catch (...) {  // must not unwind through the library
        }
      };
    }
    cinetomo_context *handle = nullptr;
    detail::check(api, [&](cinetomo_error **error) { return api->context_new(&options, &handle, error); });
    handle_.reset(handle);
  }

  template <class Function>
  Model make(const ModelOptions &options, Function function) const {
    const std::vector<const char *> names = detail::pointers(options.class_names);
    cinetomo_model_options raw = detail::defaults(api_, api_->model_options_init);
    raw.backbone = options.backbone.empty() ? nullptr : options.backbone.c_str();
    raw.class_names = names.data();
    raw.n_classes = names.size();
    raw.preprocess = options.preprocess ? &*options.preprocess : nullptr;
    raw.seed = options.seed;
    raw.dropout = options.dropout;
    cinetomo_model *model = nullptr;
    detail::check(api_, [&](cinetomo_error **error) { return function(&raw, &model, error); });
    return Model(api_, log_, model);
  }

  const cinetomo_api *api_;
  std::shared_ptr<const Log> log_;
  detail::Handle<cinetomo_context> handle_;
};

// What Plugin::evaluate finds; confusion has the true class along the rows, the predicted one along the columns.
struct Evaluation {
  std::int64_t n_evaluated;            // subtomograms whose label is not -1
  double accuracy;                     // fraction whose highest score is at the label
  double macro_auc;                    // area under the ROC curve, mean over the classes
  std::vector<std::int64_t> confusion;  // counts, n_classes x n_classes
  double balanced_accuracy;            // mean recall
  double macro_f1;                     // mean F1
  double expected_calibration_error;   // this and the next two: NaN if the scores are no probabilities
  double brier_score;                  // 0 to 2
  double log_loss;                     // in nats
  double best_threshold_accuracy;      // of two classes: the best on these very labels, optimistic
  double best_threshold;               // on the score of class 1
};

// The library: its table of functions. Copies are free.
class Plugin {
 public:
  // The library that the program is linked with.
  static Plugin linked() { return Plugin(cinetomo_get_api(CINETOMO_ABI_VERSION)); }

  // The first usable plugin by its manifest: in `place`, a manifest or a directory of manifests, or else along the search
  // path (see manifest.hpp). Loads it for the rest of the process.
  static Plugin find(const std::filesystem::path &place = {}) {
    return load((place.empty() ? cinetomo::find() : find_in({place})).manifest);
  }

  // Loads the library of a manifest for the rest of the process.
  static Plugin load(const Manifest &manifest) { return open(manifest.library.string(), manifest.entry); }

  // Loads a library for the rest of the process. `entry` is named by the plugin's manifest. Throws RUNTIME_CONFLICT,
  // before anything is loaded, if the process has another libtorch.
  static Plugin open(const std::string &library, const std::string &entry = "cinetomo_get_api") {
    detail::check_libtorch(library);
    void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw Error(CINETOMO_STATUS_IO, reason(library));
    void *symbol = dlsym(handle, entry.c_str());
    if (symbol == nullptr) throw Error(CINETOMO_STATUS_UNSUPPORTED, reason(library));
    return Plugin(reinterpret_cast<decltype(&cinetomo_get_api)>(symbol)(CINETOMO_ABI_VERSION));
  }

  // A table that the host got by its own means.
  explicit Plugin(const cinetomo_api *api) : api_(api) {
    if (api == nullptr) {
      throw Error(CINETOMO_STATUS_UNSUPPORTED,
                  "the cinetomo library does not speak ABI " + std::to_string(CINETOMO_ABI_VERSION) + ", this program's");
    }
    if (api->struct_size < sizeof *api) {
      throw Error(CINETOMO_STATUS_UNSUPPORTED, "the cinetomo library is older than this program: its table has " +
                                                   std::to_string(api->struct_size) + " bytes, expected at least " +
                                                   std::to_string(sizeof *api));
    }
  }

  // The table, for the C interface.
  const cinetomo_api *api() const { return api_; }
  // Of the library, such as "0.1.0".
  std::string version() const { return api_->version(); }

  // Defaults, to be changed and handed to what takes them.
  cinetomo_context_options context_options() const { return defaults(api_->context_options_init); }
  // Defaults of training: what was measured to be best at few labels.
  cinetomo_fine_tune_options fine_tune_options() const { return defaults(api_->fine_tune_options_init); }
  // The training that a preset names.
  cinetomo_fine_tune_options fine_tune_options(cinetomo_preset preset) const {
    cinetomo_fine_tune_options options = fine_tune_options();
    api_->fine_tune_options_preset(&options, sizeof options, preset);
    return options;
  }
  // Defaults of calibration: a temperature, and a threshold that accepts 95 %.
  cinetomo_calibration_options calibration_options() const { return defaults(api_->calibration_options_init); }
  // Defaults of Model::grad_cam: the most probable class, by Grad-CAM.
  cinetomo_grad_cam_options grad_cam_options() const { return defaults(api_->grad_cam_options_init); }
  // Defaults of a split: 0.6 to train on, 0.2 to choose by, 0.2 to measure on.
  cinetomo_split_options split_options() const { return defaults(api_->split_options_init); }
  // Defaults of preprocessing, for ModelOptions.
  cinetomo_preprocess preprocess() const { return defaults(api_->preprocess_init); }
  // The preprocessing that goes with a preset.
  cinetomo_preprocess preprocess(cinetomo_preset preset) const {
    cinetomo_preprocess options = preprocess();
    api_->preprocess_preset(&options, sizeof options, preset);
    return options;
  }

  // Strings in it live as long as the process.
  cinetomo_runtime_info runtime_info() const {
    cinetomo_runtime_info info = defaults(api_->runtime_info_init);
    detail::check(api_, [&](cinetomo_error **error) { return api_->runtime_info_get(&info, error); });
    return info;
  }

  // Where work runs: with the defaults (CUDA if it is usable, no log).
  Context context() const { return Context(api_, context_options(), nullptr); }
  // As above, with options from context_options() and a log.
  Context context(const cinetomo_context_options &options, Log log = nullptr) const {
    return Context(api_, options, std::move(log));
  }
  // A flag that any thread may raise to stop a call.
  Cancel cancel() const { return Cancel(api_); }

  // The table of an extension, or nullptr.
  template <class Table>
  const Table *extension(const std::string &id) const {
    return static_cast<const Table *>(api_->get_extension(id.c_str()));
  }

  // Looks into a checkpoint without loading it: JSON, whose fields cinetomo_weights_inspect documents.
  std::string weights_inspect(const std::string &path) const {
    auto json = detail::fetch<char>(
        api_, [&](char *buffer, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
          return api_->weights_inspect(path.c_str(), buffer, capacity, len, error);
        });
    return std::string(json.begin(), std::find(json.begin(), json.end(), '\0'));
  }

  // Compares rows of scores with labels; -1 leaves a row out.
  Evaluation evaluate(Span<const float> probabilities, Span<const std::int32_t> labels,
                      std::size_t n_classes) const {
    cinetomo_metrics metrics = defaults(api_->metrics_init);
    auto confusion = detail::fetch<std::int64_t>(
        api_, [&](std::int64_t *counts, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
          return api_->evaluate(probabilities.data(), probabilities.size(), labels.data(), labels.size(), n_classes,
                                &metrics, counts, capacity, len, error);
        });
    return {metrics.n_evaluated,
            metrics.accuracy,
            metrics.macro_auc,
            std::move(confusion),
            metrics.balanced_accuracy,
            metrics.macro_f1,
            metrics.expected_calibration_error,
            metrics.brier_score,
            metrics.log_loss,
            metrics.best_threshold_accuracy,
            metrics.best_threshold};
  }

  // The same class by class.
  std::vector<cinetomo_class_metrics> evaluate_classes(Span<const float> probabilities,
                                                       Span<const std::int32_t> labels,
                                                       std::size_t n_classes) const {
    return detail::fetch<cinetomo_class_metrics>(
        api_, [&](cinetomo_class_metrics *classes, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
          return api_->evaluate_classes(probabilities.data(), probabilities.size(), labels.data(), labels.size(),
                                        n_classes, classes, capacity, len, error);
        });
  }

  // The ROC curve of a class against the rest; empty if there is none.
  std::vector<cinetomo_roc_point> evaluate_roc(Span<const float> probabilities,
                                               Span<const std::int32_t> labels, std::size_t n_classes,
                                               std::size_t class_index) const {
    return detail::fetch<cinetomo_roc_point>(
        api_, [&](cinetomo_roc_point *points, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
          return api_->evaluate_roc(probabilities.data(), probabilities.size(), labels.data(), labels.size(),
                                    n_classes, class_index, points, capacity, len, error);
        });
  }

  // The reliability diagram of probabilities, in so many bins.
  std::vector<cinetomo_reliability_bin> evaluate_reliability(Span<const float> probabilities,
                                                             Span<const std::int32_t> labels,
                                                             std::size_t n_classes, std::size_t n_bins = 15) const {
    return detail::fetch<cinetomo_reliability_bin>(
        api_, [&](cinetomo_reliability_bin *bins, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
          return api_->evaluate_reliability(probabilities.data(), probabilities.size(), labels.data(), labels.size(),
                                            n_classes, n_bins, bins, capacity, len, error);
        });
  }

  // What each subtomogram is for, a CINETOMO_PART_*; groups name the tomogram of each, or are empty.
  std::vector<std::int32_t> split(Span<const std::int32_t> labels, Span<const std::int32_t> groups,
                                  const cinetomo_split_options &options) const {
    if (!groups.empty() && groups.size() != labels.size()) {
      throw Error(CINETOMO_STATUS_INVALID_ARGUMENT, std::to_string(groups.size()) + " groups for " +
                                                        std::to_string(labels.size()) + " labels");
    }
    return detail::fetch<std::int32_t>(
        api_, [&](std::int32_t *parts, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
          return api_->split(labels.data(), groups.empty() ? nullptr : groups.data(), labels.size(), &options, parts,
                             capacity, len, error);
        });
  }

 private:
  // What the dynamic linker said last.
  static std::string reason(const std::string &library) {
    const char *said = dlerror();
    return said != nullptr ? said : library + " cannot be loaded";
  }

  template <class T>
  T defaults(std::int32_t (*init)(T *, std::size_t)) const {
    return detail::defaults(api_, init);
  }

  const cinetomo_api *api_;
};

// The extension cinetomo.project2d/1: embeddings as a map in the plane, and how well classes are apart in them.
class Project2d {
 public:
  // Throws UNSUPPORTED if the library does not have the extension.
  explicit Project2d(const Plugin &plugin)
      : api_(plugin.api()), table_(plugin.extension<cinetomo_project2d_api>("cinetomo.project2d/1")) {
    if (table_ == nullptr || table_->struct_size < sizeof *table_) {
      throw Error(CINETOMO_STATUS_UNSUPPORTED, "this cinetomo library has no extension cinetomo.project2d/1");
    }
  }

  // Defaults of tsne().
  cinetomo_tsne_options options() const { return detail::defaults(api_, table_->options_init); }

  // Positions in a plane, a row of two numbers for each embedding of so many features: neighbours lie together.
  std::vector<float> tsne(const Context &context, Span<const float> embeddings, std::size_t n_features,
                          const cinetomo_tsne_options &options, const Hooks &hooks = {}) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return detail::fetch<float>(
          api_, [&](float *positions, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
            return table_->tsne(context.get(), embeddings.data(), embeddings.size(), n_features, &options, raw,
                                positions, capacity, len, error);
          });
    });
  }

  // How well the classes are apart; so many neighbours vote.
  cinetomo_separation separation(const Context &context, Span<const float> embeddings, std::size_t n_features,
                                 Span<const std::int32_t> labels, std::size_t n_neighbors = 5) const {
    cinetomo_separation separation = detail::defaults(api_, table_->separation_init);
    detail::check(api_, [&](cinetomo_error **error) {
      return table_->separation(context.get(), embeddings.data(), embeddings.size(), n_features, labels.data(),
                                labels.size(), n_neighbors, &separation, error);
    });
    return separation;
  }

 private:
  const cinetomo_api *api_;
  const cinetomo_project2d_api *table_;
};

// What Synthetic simulates: voxels, and the particles that are in them.
struct Simulated {
  std::vector<float> voxels;                           // x fastest
  std::vector<cinetomo_synthetic_particle> particles;  // in the order of the labels
};

// The extension cinetomo.synthetic/1: simulated subtomograms and tomograms. Densities are the caller's (cubes, bright
// on zero, at the voxel size of the options), or the built-in phantoms where they are nullptr.
class Synthetic {
 public:
  // Throws UNSUPPORTED if the library does not have the extension.
  explicit Synthetic(const Plugin &plugin)
      : api_(plugin.api()), table_(plugin.extension<cinetomo_synthetic_api>("cinetomo.synthetic/1")) {
    if (table_ == nullptr || table_->struct_size < sizeof *table_) {
      throw Error(CINETOMO_STATUS_UNSUPPORTED, "this cinetomo library has no extension cinetomo.synthetic/1");
    }
  }

  // The built-in phantoms, in the order of their labels.
  std::vector<std::string> phantom_names() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < table_->n_phantoms(); ++i) names.emplace_back(table_->phantom_name(i));
    return names;
  }

  // Defaults of the simulation.
  cinetomo_synthetic_options options() const { return detail::defaults(api_, table_->options_init); }
  // The settings of the simulator behind the paper's simulated data (Liu et al. 2020).
  cinetomo_synthetic_options options_liu_2020() const {
    return detail::defaults(api_, table_->options_init_liu_2020);
  }

  // One subtomogram for each label, of the built-in phantom of that index.
  std::vector<float> simulate(const Context &context, Span<const std::int32_t> labels,
                              const cinetomo_synthetic_options &options, const Hooks &hooks = {}) const {
    return simulate(context, nullptr, labels, options, hooks);
  }
  // As above, of the caller's densities: cubes, bright on zero, at the voxel size of the options.
  std::vector<float> simulate(const Context &context, const Volume &densities, Span<const std::int32_t> labels,
                              const cinetomo_synthetic_options &options, const Hooks &hooks = {}) const {
    return simulate(context, densities.get(), labels, options, hooks);
  }

  // As simulate, with what is in each subtomogram: 1 + n_neighbours particles, the target first.
  Simulated simulate_particles(const Context &context, const Volume *densities, Span<const std::int32_t> labels,
                               const cinetomo_synthetic_options &options, const Hooks &hooks = {}) const {
    // The library refuses a number that is not between 0 and 32.
    const std::int32_t n_neighbours = std::min(std::max(options.n_neighbours, 0), 32);
    std::vector<cinetomo_synthetic_particle> particles(labels.size() * static_cast<std::size_t>(1 + n_neighbours));
    auto voxels = detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return detail::fetch<float>(api_, [&](float *buffer, std::size_t capacity, std::size_t *len,
                                            cinetomo_error **error) {
        return table_->simulate_particles(context.get(), densities != nullptr ? densities->get() : nullptr,
                                          labels.data(), labels.size(), &options, raw, buffer, capacity, len,
                                          particles.data(), particles.size(), error);
      });
    });
    return {std::move(voxels), std::move(particles)};
  }

  // A tomogram of shape z, y, x with one particle for each label, in that order.
  Simulated simulate_tomogram(const Context &context, const Volume *densities, Span<const std::int32_t> labels,
                              const std::array<std::int64_t, 3> &shape, const cinetomo_synthetic_options &options,
                              const Hooks &hooks = {}) const {
    std::vector<cinetomo_synthetic_particle> particles(labels.size());
    auto voxels = detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return detail::fetch<float>(api_, [&](float *buffer, std::size_t capacity, std::size_t *len,
                                            cinetomo_error **error) {
        return table_->simulate_tomogram(context.get(), densities != nullptr ? densities->get() : nullptr,
                                         labels.data(), labels.size(), shape.data(), &options, raw, buffer, capacity,
                                         len, particles.data(), particles.size(), error);
      });
    });
    return {std::move(voxels), std::move(particles)};
  }

 private:
  std::vector<float> simulate(const Context &context, const cinetomo_volume *densities,
                              Span<const std::int32_t> labels, const cinetomo_synthetic_options &options,
                              const Hooks &hooks) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw) {
      return detail::fetch<float>(
          api_, [&](float *voxels, std::size_t capacity, std::size_t *len, cinetomo_error **error) {
            return table_->simulate(context.get(), densities, labels.data(), labels.size(), &options, raw, voxels,
                                    capacity, len, error);
          });
    });
  }

  const cinetomo_api *api_;
  const cinetomo_synthetic_api *table_;
};

// A tomogram, for Pick: in memory, or read piece by piece.
class Tomogram {
 public:
  // Fetches the voxels from start (z, y, x) on, extent many along z, y, x, into out, x fastest. What it throws comes out
  // of the call.
  using Read = std::function<void(const std::array<std::int64_t, 3> &start, const std::array<std::int64_t, 3> &extent,
                                  float *out)>;

  // A volume with n = 1, which must outlive this, with its voxel size and contrast.
  explicit Tomogram(const Volume &volume) : volume_(&volume) {}

  // A tomogram of `shape` voxels along z, y, x that `read` fetches: it need not fit into memory. Voxel size in angstrom, 0
  // = unknown; a CINETOMO_CONTRAST_*.
  Tomogram(std::array<std::int64_t, 3> shape, double voxel_size, std::int32_t contrast, Read read)
      : shape_(shape), voxel_size_(voxel_size), contrast_(contrast), read_(std::move(read)) {}

 private:
  friend class Pick;

  // Calls function(const cinetomo_tomogram *). An exception of the reader stops the call and is thrown on when it has
  // returned: it must not unwind through the library.
  template <class Function>
  auto with_c(Function function) const {
    struct State {
      const Read &read;
      std::exception_ptr thrown;
    } state{read_, nullptr};

    cinetomo_tomogram raw{};
    raw.struct_size = sizeof raw;
    if (volume_ != nullptr) {
      raw.voxels = volume_->get();
    } else {
      std::copy(shape_.begin(), shape_.end(), raw.shape);
      raw.voxel_size = voxel_size_;
      raw.contrast = contrast_;
      raw.user_data = &state;
      raw.read = [](void *user_data, std::int64_t z0, std::int64_t y0, std::int64_t x0, std::int64_t nz,
                    std::int64_t ny, std::int64_t nx, float *out) -> std::int32_t {
        auto &mine = *static_cast<State *>(user_data);
        try {
          mine.read({z0, y0, x0}, {nz, ny, nx}, out);
          return 0;
        } catch (...) {
          mine.thrown = std::current_exception();
          return 1;
        }
      };
    }
    try {
      return function(&raw);
    } catch (const Error &) {
      if (state.thrown) std::rethrow_exception(state.thrown);
      throw;
    }
  }

  const Volume *volume_ = nullptr;
  std::array<std::int64_t, 3> shape_{};
  double voxel_size_ = 0;
  std::int32_t contrast_ = CINETOMO_CONTRAST_UNKNOWN;
  Read read_;
};

// What Pick::pick finds, the best first.
struct Picks {
  std::vector<std::array<float, 3>> positions;  // z, y, x in voxels, counted from the centre of the first voxel
  std::vector<float> scores;                    // more is better
};

// What Pick::extract cuts out.
struct Boxes {
  std::vector<float> voxels;          // one box after the other, x fastest
  std::vector<std::int64_t> indices;  // for each box the index of its particle
};

// The extension cinetomo.pick/1: particles in a tomogram, and boxes around them.
class Pick {
 public:
  // Throws UNSUPPORTED if the library does not have the extension.
  explicit Pick(const Plugin &plugin)
      : api_(plugin.api()), table_(plugin.extension<cinetomo_pick_api>("cinetomo.pick/1")) {
    if (table_ == nullptr || table_->struct_size < sizeof *table_) {
      throw Error(CINETOMO_STATUS_UNSUPPORTED, "this cinetomo library has no extension cinetomo.pick/1");
    }
  }

  // Defaults of pick().
  cinetomo_pick_options pick_options() const { return detail::defaults(api_, table_->pick_options_init); }
  // Defaults of extract().
  cinetomo_extract_options extract_options() const { return detail::defaults(api_, table_->extract_options_init); }

  // Picks particles by difference of Gaussians; the tomogram's contrast must be known.
  Picks pick(const Context &context, const Tomogram &tomogram, const cinetomo_pick_options &options,
             const Hooks &hooks = {}) const {
    return detail::with_hooks(hooks, [&](const cinetomo_hooks *raw_hooks) {
      return tomogram.with_c([&](const cinetomo_tomogram *raw) {
        std::size_t n = 0;
        Picks picks;
        const auto call = [&](std::size_t capacity) {
          detail::check(api_, [&](cinetomo_error **error) {
            return table_->pick(context.get(), raw, &options, raw_hooks,
                                capacity == 0 ? nullptr : picks.positions.data()->data(), picks.scores.data(), capacity,
                                &n, error);
          });
        };
        call(0);
        picks.positions.resize(n);
        picks.scores.resize(n);
        call(n);
        picks.positions.resize(n);
        picks.scores.resize(n);
        return picks;
      });
    });
  }

  // Boxes around positions z, y, x in voxels.
  Boxes extract(const Context &context, const Tomogram &tomogram, const std::vector<std::array<float, 3>> &positions,
                const cinetomo_extract_options &options, const Hooks &hooks = {}) const {
    Boxes boxes;
    boxes.indices.resize(positions.size());
    boxes.voxels = detail::with_hooks(hooks, [&](const cinetomo_hooks *raw_hooks) {
      return tomogram.with_c([&](const cinetomo_tomogram *raw) {
        return detail::fetch<float>(api_, [&](float *voxels, std::size_t capacity, std::size_t *len,
                                              cinetomo_error **error) {
          return table_->extract(context.get(), raw, positions.empty() ? nullptr : positions.data()->data(),
                                 positions.size(), &options, raw_hooks, voxels, capacity, len, boxes.indices.data(),
                                 boxes.indices.size(), error);
        });
      });
    });
    const auto edge = static_cast<std::size_t>(std::max<std::int64_t>(options.box_size, 1));
    boxes.indices.resize(boxes.voxels.size() / (edge * edge * edge));
    return boxes;
  }

 private:
  const cinetomo_api *api_;
  const cinetomo_pick_api *table_;
};

// Error, spelt as the standard library spells its exceptions. Last, as compilers warn of what hides it.
using error = Error;

}  // namespace cinetomo

#endif  // CINETOMO_HPP
