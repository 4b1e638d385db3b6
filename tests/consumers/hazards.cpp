// A C++ host that loads the plugin at run time and does what hosts do to it: hazards HAZARD PLACE, each in a process of its
// own. Prints "ok" as the last thing that it decides itself; how the process then ends is part of the test.
#include <cinetomo.hpp>

#include <omp.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#define CHECK(condition) \
  if (!(condition)) std::printf("line %d: %s\n", __LINE__, #condition), std::fflush(stdout), std::_Exit(1)

namespace {

std::filesystem::path place;
std::atomic<bool> ending{false};

// Destroyed when the process ends, after whatever was made later: the library's own objects among them.
std::unique_ptr<cinetomo::Model> global_model;
std::unique_ptr<cinetomo::Context> global_context;

const std::vector<float> &voxels() {
  // Never destroyed: a call may read them while the process ends.
  static const std::vector<float> *values = [] {
    auto *made = new std::vector<float>(4 * 16 * 16 * 16);
    for (std::size_t i = 0; i < made->size(); ++i) (*made)[i] = static_cast<float>(i * 7919 % 101);
    return made;
  }();
  return *values;
}

cinetomo::Volume boxes() { return {voxels(), {4, 16, 16, 16}}; }

cinetomo::Context context() {
  const cinetomo::Plugin plugin = cinetomo::Plugin::find(place);
  cinetomo_context_options options = plugin.context_options();
  options.device = CINETOMO_DEVICE_CPU;
  options.n_threads = 1;
  return plugin.context(options);
}

cinetomo::Model model(std::uint64_t seed = 7) { return context().model_random({{"a", "b"}, "i3d", seed}); }

// Runs a training that does not end by itself on a thread of its own, and returns once it is at work.
std::thread endless_training(const cinetomo::Model &model, cinetomo::Hooks hooks = {}) {
  static std::atomic<bool> started{false};
  std::thread thread([&model, hooks]() mutable {
    cinetomo_fine_tune_options options = cinetomo::Plugin::find(place).fine_tune_options();
    options.n_epochs = 100000;
    hooks.progress = [](const cinetomo_progress &) { return started = true; };
    try {
      model.fine_tune(boxes(), {0, 1, 0, 1}, options, hooks);
    } catch (const cinetomo::Error &thrown) {
      // When the process ends, libtorch takes its functions away: the call fails.
      CHECK(thrown.status() == CINETOMO_STATUS_CANCELLED || ending);
    }
  });
  while (!started) std::this_thread::yield();
  return thread;
}

void threads_on_one_model() {
  const cinetomo::Model one = model();
  const std::vector<float> expected = one.classify(boxes());
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) threads.emplace_back([&] { CHECK(one.classify(boxes()) == expected); });
  for (std::thread &thread : threads) thread.join();
}

void threads_on_many_models() {
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([seed] {
      const cinetomo::Model mine = model(seed);
      const std::vector<float> expected = mine.classify(boxes());
      for (int i = 0; i < 3; ++i) CHECK(mine.classify(boxes()) == expected);
    });
  }
  for (std::thread &thread : threads) thread.join();
}

// A model is freed by one thread while others use it: their calls end well, or say that it is gone.
void freed_while_in_use() {
  auto shared = std::make_unique<cinetomo::Model>(model());
  cinetomo_model *raw = const_cast<cinetomo_model *>(shared->get());
  const cinetomo_api *api = cinetomo::Plugin::find(place).api();
  std::atomic<int> n_at_work{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      float scores[8];
      std::size_t n = 0;
      ++n_at_work;
      for (int call = 0; call < 4; ++call) {
        const std::int32_t status = api->model_classify(raw, boxes().get(), nullptr, scores, 8, &n, nullptr);
        CHECK(status == CINETOMO_STATUS_OK || status == CINETOMO_STATUS_INVALID_ARGUMENT);
      }
    });
  }
  while (n_at_work < 4) std::this_thread::yield();
  shared.reset();
  for (std::thread &thread : threads) thread.join();
}

void cancelled_by_another_thread() {
  const cinetomo::Model mine = model();
  const cinetomo::Cancel cancel = cinetomo::Plugin::find(place).cancel();
  std::thread training = endless_training(mine, {nullptr, &cancel});
  cancel.raise();
  training.join();
  CHECK(mine.classify(boxes()).size() == 8);
}

// The host's own parallel regions, before, around and after calls.
void open_mp() {
  omp_set_num_threads(3);
  const cinetomo::Model mine = model();
  const std::vector<float> expected = mine.classify(boxes());
  CHECK(omp_get_max_threads() == 3);
  int n_threads = 0;
#pragma omp parallel
  {
#pragma omp single
    n_threads = omp_get_num_threads();
    const int before = omp_get_max_threads();
    CHECK(mine.classify(boxes()) == expected);
    CHECK(omp_get_max_threads() == before);
  }
  CHECK(n_threads == 3);
  std::thread([&] {
    omp_set_num_threads(2);
    mine.classify(boxes());
    CHECK(omp_get_max_threads() == 2);
  }).join();
  CHECK(omp_get_max_threads() == 3);
}

void fork_is_refused() {
  const cinetomo::Model mine = model();
  const std::vector<float> expected = mine.classify(boxes());
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    try {
      mine.classify(boxes());
    } catch (const cinetomo::Error &thrown) {
      const bool said = std::string(thrown.what()).find("fork()") != std::string::npos;
      std::_Exit(thrown.status() == CINETOMO_STATUS_UNSUPPORTED && said ? 7 : 1);
    }
    std::_Exit(2);
  }
  int outcome = 0;
  CHECK(waitpid(child, &outcome, 0) == child && WIFEXITED(outcome) && WEXITSTATUS(outcome) == 7);
  CHECK(mine.classify(boxes()) == expected);
}

// A host that unloads its plugins, more often than it has loaded them, from threads that then end.
void unloading() {
  const cinetomo::Model mine = model();
  const std::string library = cinetomo::find_in({place}).manifest.library.string();
  for (int i = 0; i < 4; ++i) {
    std::thread([&] {
      CHECK(mine.classify(boxes()).size() == 8);
      void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
      CHECK(handle != nullptr);
      dlclose(handle);
      dlclose(handle);
      CHECK(mine.classify(boxes()).size() == 8);
    }).join();
  }
}

// Threads of hosts have small stacks: 1 MiB in a JVM, 512 KiB and less elsewhere.
void small_stacks() {
  static const cinetomo::Model mine = model();
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 512 * 1024) == 0);
  pthread_t thread;
  const auto work = [](void *) -> void * {
    auto options = cinetomo::Plugin::find(place).fine_tune_options();
    options.n_epochs = 1;
    CHECK(mine.fine_tune(boxes(), {0, 1, 0, 1}, options).classify(boxes()).size() == 8);
    return nullptr;
  };
  CHECK(pthread_create(&thread, &attributes, work, nullptr) == 0 && pthread_join(thread, nullptr) == 0);
}

// main returns while everything is alive; the host's objects outlive the library's.
void end_with_live_handles() {
  global_context = std::make_unique<cinetomo::Context>(context());
  global_model = std::make_unique<cinetomo::Model>(global_context->model_random({{"a", "b"}}));
  CHECK(global_model->classify(boxes()).size() == 8);
}

// exit() while another thread is in the library.
void end_during_a_call() {
  global_model = std::make_unique<cinetomo::Model>(model());
  endless_training(*global_model).detach();
  ending = true;
}

// exit() by a thread that is not the main one, in a callback of the library.
void exit_in_a_callback() {
  global_model = std::make_unique<cinetomo::Model>(model());
  global_model->classify(boxes(), {[](const cinetomo_progress &) -> bool {
    std::printf("ok\n");
    std::exit(0);
  }});
}

void nothing_special() {
  const cinetomo::Plugin plugin = cinetomo::Plugin::find(place);
  CHECK(model().classify(boxes()).size() == 8);
  std::printf("%s\n", plugin.runtime_info().libtorch_path);
}

}  // namespace

int main(int argc, char **argv) {
  const std::map<std::string, void (*)()> hazards{
      {"threads-on-one-model", threads_on_one_model},
      {"threads-on-many-models", threads_on_many_models},
      {"freed-while-in-use", freed_while_in_use},
      {"cancelled-by-another-thread", cancelled_by_another_thread},
      {"open-mp", open_mp},
      {"fork-is-refused", fork_is_refused},
      {"unloading", unloading},
      {"small-stacks", small_stacks},
      {"end-with-live-handles", end_with_live_handles},
      {"end-during-a-call", end_during_a_call},
      {"exit-in-a-callback", exit_in_a_callback},
      {"nothing-special", nothing_special},
  };
  if (argc != 3) {  // names them, for the test that runs them all
    for (const auto &[name, function] : hazards) std::printf("%s\n", name.c_str());
    return 0;
  }
  place = argv[2];
  try {
    hazards.at(argv[1])();
  } catch (const std::exception &error) {
    std::printf("%s\n", error.what());
    return 1;
  }
  std::printf("ok\n");
  return 0;
}
