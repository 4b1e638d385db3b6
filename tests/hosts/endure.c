/* Nothing is lost call by call: argv[1] times every call that is cheap, argv[2] trainings that are cancelled at once. The memory
   of the process after them is about what it was after the first tenth. argv[3]: a folder. */
#include <unistd.h>

#include "host.h"

/* What allocators keep in pieces, and no more with more calls; tools that watch memory keep what was freed for a while. */
#ifndef SLACK_FACTOR
#define SLACK_FACTOR 1
#endif
static const long SLACK = 24L * SLACK_FACTOR << 20;

static cinetomo_context *context;
static cinetomo_model *model;
static const cinetomo_synthetic_api *synthetic;
static const cinetomo_pick_api *picker;
static const cinetomo_project2d_api *project2d;
static char path[4096];

static long resident(void) {
  long pages = 0, ignored = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  REQUIRE(file && fscanf(file, "%ld %ld", &ignored, &pages) == 2);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static void structs(void) {
  cinetomo_runtime_info info;
  cinetomo_model_info about;
  cinetomo_confidence confidence;
  REQUIRE(cinetomo_runtime_info_init(&info, sizeof info) == 0);
  REQUIRE_OK(cinetomo_runtime_info_get(&info, &error));
  REQUIRE(cinetomo_model_info_init(&about, sizeof about) == 0);
  REQUIRE_OK(cinetomo_model_info_get(model, &about, &error));
  REQUIRE(cinetomo_confidence_init(&confidence, sizeof confidence) == 0);
  REQUIRE_OK(cinetomo_model_confidence_get(model, &confidence, &error));
  uint64_t bytes = 0;
  REQUIRE_OK(cinetomo_memory_estimate(model, 16, 16, 16, 4, CINETOMO_STAGE_TRAIN, &bytes, &error));
}

static void handles(void) {
  cinetomo_cancel *cancel = NULL;
  REQUIRE_OK(cinetomo_cancel_new(&cancel, &error));
  cinetomo_cancel_raise(cancel);
  cinetomo_cancel_free(cancel);
  cinetomo_context_free(context_on(CINETOMO_DEVICE_CPU));
}

static void errors(void) {
  cinetomo_error *error = NULL;
  cinetomo_model *none = NULL;
  REQUIRE(cinetomo_model_load(context, "/nowhere/at all", &none, &error) == CINETOMO_STATUS_IO);
  cinetomo_error_free(error);
  REQUIRE(cinetomo_model_load(context, "/nowhere/at all", &none, NULL) == CINETOMO_STATUS_IO);
  REQUIRE(cinetomo_weights_inspect(path, NULL, 0, NULL, &error) != CINETOMO_STATUS_OK);
  cinetomo_error_free(error);
}

static void evaluation(void) {
  const float scores[8] = {0.25f, 0.75f, 0.5f, 0.5f, 1, 0, 0, 1};
  int64_t confusion[4];
  int32_t parts[4];
  size_t n = 0;
  cinetomo_metrics metrics;
  cinetomo_class_metrics classes[2];
  cinetomo_roc_point points[16];
  cinetomo_reliability_bin bins[15];
  REQUIRE(cinetomo_metrics_init(&metrics, sizeof metrics) == 0);
  REQUIRE_OK(cinetomo_evaluate(scores, 8, labels, 4, 2, &metrics, confusion, 4, &n, &error));
  REQUIRE_OK(cinetomo_evaluate_classes(scores, 8, labels, 4, 2, classes, 2, &n, &error));
  REQUIRE_OK(cinetomo_evaluate_roc(scores, 8, labels, 4, 2, 1, points, 16, &n, &error));
  REQUIRE_OK(cinetomo_evaluate_reliability(scores, 8, labels, 4, 2, 15, bins, 15, &n, &error));
  REQUIRE_OK(cinetomo_split(labels, NULL, 4, NULL, parts, 4, &n, &error));
}

static void extensions(void) {
  static float out[8 * 8 * 8], positions[3] = {4, 4, 4};
  const int32_t label = 0;
  size_t n = 0;
  cinetomo_synthetic_options simulated;
  cinetomo_tomogram tomogram;
  cinetomo_extract_options cut;
  cinetomo_volume volume = boxes();
  cinetomo_separation apart;
  REQUIRE_OK(synthetic->phantom_density(0, 8, 40, out, 512, &n, &error));
  REQUIRE(synthetic->options_init(&simulated, sizeof simulated) == 0);
  simulated.box_size = 8;
  simulated.voxel_size = 40;
  REQUIRE_OK(synthetic->simulate(context, NULL, &label, 1, &simulated, NULL, out, 512, &n, &error));
  REQUIRE(picker->tomogram_init(&tomogram, sizeof tomogram) == 0);
  REQUIRE(picker->extract_options_init(&cut, sizeof cut) == 0);
  volume.shape[0] = 1;
  tomogram.voxels = &volume;
  cut.box_size = 8;
  REQUIRE_OK(picker->extract(context, &tomogram, positions, 1, &cut, NULL, out, 512, &n, NULL, 0, &error));
  REQUIRE(project2d->separation_init(&apart, sizeof apart) == 0);
  REQUIRE_OK(project2d->separation(context, voxels, 8, 2, labels, 4, 1, &apart, &error));
}

static void inference(void) {
  static float out[VOXELS], embedding[2048];
  size_t n = 0;
  cinetomo_volume volume = boxes();
  volume.shape[0] = 1;
  REQUIRE_OK(cinetomo_model_classify(model, &volume, NULL, out, CLASSES, &n, &error));
  REQUIRE_OK(cinetomo_model_embed(model, &volume, NULL, embedding, 2048, &n, &error));
}

static void files(void) {
  cinetomo_model *loaded = NULL;
  REQUIRE_OK(cinetomo_model_save(model, path, &error));
  REQUIRE_OK(cinetomo_model_load(context, path, &loaded, &error));
  cinetomo_model_free(loaded);
}

static int32_t stop(void *user_data, const cinetomo_progress *progress) {
  (void)user_data;
  (void)progress;
  return 1;
}

static void cancelled_training(void) {
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_hooks hooks;
  cinetomo_fine_tune_options options;
  REQUIRE(cinetomo_hooks_init(&hooks, sizeof hooks) == 0);
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == 0);
  hooks.progress = stop;
  options.n_epochs = 1;
  REQUIRE(cinetomo_model_fine_tune(model, &volume, labels, N, &options, &hooks, &tuned, NULL) == CINETOMO_STATUS_CANCELLED);
}

/* A tenth to warm up, then memory must stay. */
static void repeat(const char *name, void (*body)(void), int n) {
  for (int i = 0; i <= n / 10; i++) body();
  long before = resident();
  for (int i = 0; i < n; i++) body();
  long growth = resident() - before;
  printf("%s: %d times, %ld KiB more\n", name, n, growth / 1024);
  fflush(stdout);
  REQUIRE(growth < SLACK);
}

int main(int argc, char **argv) {
  REQUIRE(argc == 4);
  int n = atoi(argv[1]), n_trainings = atoi(argv[2]);
  snprintf(path, sizeof path, "%s/model.safetensors", argv[3]);
  context = context_on(CINETOMO_DEVICE_CPU);
  model = random_model(context);
  REQUIRE((synthetic = cinetomo_get_extension("cinetomo.synthetic/1")));
  REQUIRE((picker = cinetomo_get_extension("cinetomo.pick/1")));
  REQUIRE((project2d = cinetomo_get_extension("cinetomo.project2d/1")));
  repeat("structs", structs, n);
  repeat("handles", handles, n);
  repeat("errors", errors, n);
  repeat("evaluation", evaluation, n);
  repeat("extensions", extensions, n);
  repeat("classify and embed", inference, n / 10);
  repeat("save and load", files, n / 100);
  repeat("cancelled training", cancelled_training, n_trainings);
  cinetomo_model_free(model);
  cinetomo_context_free(context);
  return 0;
}
