/* Nothing is lost call by call: argv[1] times every kind of call (a tenth of it where models are made), argv[2] trainings, and as many
   that are cancelled at once. The memory of the process after them is about what it was after the first tenth. argv[3]: a folder.
   argv[4]: the only kind; without it, all of them. */
#include <malloc.h>
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
static const cinetomo_dataset_api *dataset;
static char path[4096];

static long resident(void) {
  malloc_trim(0);
  long pages = 0, ignored = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  REQUIRE(file && fscanf(file, "%ld %ld", &ignored, &pages) == 2);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

#define INIT(function, type)                         \
  do {                                               \
    struct cinetomo_##type value;                    \
    REQUIRE(function(&value, sizeof value) == 0);    \
  } while (0)

static void structs(void) {
  INIT(cinetomo_calibration_options_init, calibration_options);
  INIT(cinetomo_confidence_init, confidence);
  INIT(cinetomo_context_options_init, context_options);
  INIT(cinetomo_fine_tune_options_init, fine_tune_options);
  INIT(cinetomo_grad_cam_options_init, grad_cam_options);
  INIT(cinetomo_hooks_init, hooks);
  INIT(cinetomo_metrics_init, metrics);
  INIT(cinetomo_model_info_init, model_info);
  INIT(cinetomo_model_options_init, model_options);
  INIT(cinetomo_predictions_init, predictions);
  INIT(cinetomo_preprocess_init, preprocess);
  INIT(cinetomo_runtime_info_init, runtime_info);
  INIT(cinetomo_split_options_init, split_options);
  INIT(cinetomo_volume_init, volume);
  INIT(dataset->dataset_init, dataset);
  INIT(picker->tomogram_init, tomogram);
  INIT(picker->pick_options_init, pick_options);
  INIT(picker->extract_options_init, extract_options);
  INIT(project2d->options_init, tsne_options);
  INIT(project2d->separation_init, separation);
  INIT(synthetic->options_init, synthetic_options);
  INIT(synthetic->options_init_liu_2020, synthetic_options);
  for (int32_t preset = 0; preset < 4; preset++) {
    cinetomo_fine_tune_options tuning;
    cinetomo_preprocess preprocess;
    REQUIRE(cinetomo_fine_tune_options_preset(&tuning, sizeof tuning, preset) == 0);
    REQUIRE(cinetomo_preprocess_preset(&preprocess, sizeof preprocess, preset) == 0);
  }
}

static void questions(void) {
  cinetomo_runtime_info info;
  cinetomo_model_info about;
  cinetomo_confidence confidence;
  uint64_t bytes = 0;
  REQUIRE(cinetomo_runtime_info_init(&info, sizeof info) == 0);
  REQUIRE_OK(cinetomo_runtime_info_get(&info, &error));
  REQUIRE(cinetomo_model_info_init(&about, sizeof about) == 0);
  REQUIRE_OK(cinetomo_model_info_get(model, &about, &error));
  REQUIRE(cinetomo_confidence_init(&confidence, sizeof confidence) == 0);
  REQUIRE_OK(cinetomo_model_confidence_get(model, &confidence, &error));
  REQUIRE_OK(cinetomo_memory_estimate(model, 16, 16, 16, 4, CINETOMO_STAGE_TRAIN, &bytes, &error));
  REQUIRE(cinetomo_abi_version() == CINETOMO_ABI_VERSION && *cinetomo_version());
  REQUIRE(cinetomo_get_api(CINETOMO_ABI_VERSION) && !cinetomo_get_extension("cinetomo.none/1"));
  REQUIRE(*cinetomo_status_name(CINETOMO_STATUS_IO));
  for (size_t i = 0; i < synthetic->n_phantoms(); i++) REQUIRE(*synthetic->phantom_name(i));
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

static cinetomo_synthetic_options small_boxes(void) {
  cinetomo_synthetic_options options;
  REQUIRE(synthetic->options_init(&options, sizeof options) == 0);
  options.box_size = 8;
  options.voxel_size = 40;
  return options;
}

static void simulation(void) {
  static float out[16 * 16 * 16];
  const int32_t label = 0;
  const int64_t shape[3] = {16, 16, 16};
  size_t n = 0;
  cinetomo_synthetic_options options = small_boxes();
  cinetomo_synthetic_particle particle;
  REQUIRE_OK(synthetic->phantom_density(0, 8, 40, out, 512, &n, &error));
  REQUIRE_OK(synthetic->simulate(context, NULL, &label, 1, &options, NULL, out, 512, &n, &error));
  REQUIRE_OK(synthetic->simulate_particles(context, NULL, &label, 1, &options, NULL, out, 512, &n, &particle, 1, &error));
  REQUIRE_OK(
      synthetic->simulate_tomogram(context, NULL, &label, 1, shape, &options, NULL, out, 4096, &n, &particle, 1, &error));
}

static int32_t tomogram_piece(void *user_data, int64_t z0, int64_t y0, int64_t x0, int64_t nz, int64_t ny, int64_t nx, float *out) {
  (void)user_data;
  for (int64_t i = 0; i < nz * ny * nx; i++) out[i] = voxels[(z0 * 256 + y0 * 16 + x0 + i) % VOXELS];
  return 0;
}

static void tomograms(void) {
  static float out[8 * 8 * 8], positions[3] = {4, 4, 4};
  float picked[3 * 16], scores[16];
  size_t n = 0;
  cinetomo_tomogram tomogram;
  cinetomo_extract_options cut;
  cinetomo_pick_options options;
  cinetomo_volume volume = boxes();
  REQUIRE(picker->tomogram_init(&tomogram, sizeof tomogram) == 0);
  REQUIRE(picker->extract_options_init(&cut, sizeof cut) == 0);
  volume.shape[0] = 1;
  tomogram.voxels = &volume;
  cut.box_size = 8;
  REQUIRE_OK(picker->extract(context, &tomogram, positions, 1, &cut, NULL, out, 512, &n, NULL, 0, &error));
  REQUIRE(picker->pick_options_init(&options, sizeof options) == 0);
  tomogram.voxels = NULL;
  tomogram.read = tomogram_piece;
  tomogram.shape[0] = tomogram.shape[1] = tomogram.shape[2] = EDGE;
  tomogram.voxel_size = 10;
  tomogram.contrast = CINETOMO_CONTRAST_DARK;
  options.n_max = 16;
  options.sigma = 1;
  REQUIRE_OK(picker->pick(context, &tomogram, &options, NULL, picked, scores, 16, &n, &error));
}

static void maps(void) {
  float positions[16];
  size_t n = 0;
  cinetomo_separation apart;
  cinetomo_tsne_options options;
  REQUIRE(project2d->separation_init(&apart, sizeof apart) == 0);
  REQUIRE_OK(project2d->separation(context, voxels, 8, 2, labels, 4, 1, &apart, &error));
  REQUIRE(project2d->options_init(&options, sizeof options) == 0);
  options.n_iterations = 250;
  REQUIRE_OK(project2d->tsne(context, voxels, 16, 2, &options, NULL, positions, 16, &n, &error));
}

static int32_t fetch(void *user_data, const int64_t *indices, size_t n, float *out, char *message, size_t capacity) {
  (void)user_data, (void)message, (void)capacity;
  for (size_t i = 0; i < n; i++) memcpy(out + i * VOXELS, voxels + indices[i] * VOXELS, sizeof(float[VOXELS]));
  return 0;
}

static cinetomo_dataset fetched(void) {
  cinetomo_dataset set;
  REQUIRE(dataset->dataset_init(&set, sizeof set) == 0);
  set.read = fetch;
  set.shape[0] = N;
  set.shape[1] = set.shape[2] = set.shape[3] = EDGE;
  return set;
}

static void inference(void) {
  static float out[N * VOXELS], embedding[2048];
  size_t n = 0;
  int32_t classes[N];
  cinetomo_dataset set = fetched();
  cinetomo_predictions predictions;
  cinetomo_volume volume = boxes();
  REQUIRE_OK(dataset->classify(model, &set, NULL, out, N * CLASSES, &n, &error));
  volume.shape[0] = 1;
  REQUIRE_OK(cinetomo_model_classify(model, &volume, NULL, out, CLASSES, &n, &error));
  REQUIRE_OK(cinetomo_model_embed(model, &volume, NULL, embedding, 2048, &n, &error));
  REQUIRE_OK(cinetomo_model_grad_cam(model, &volume, NULL, NULL, out, VOXELS, &n, &error));
  REQUIRE(cinetomo_predictions_init(&predictions, sizeof predictions) == 0);
  predictions.labels = classes;
  predictions.labels_capacity = N;
  REQUIRE_OK(cinetomo_model_predict(model, &volume, CINETOMO_REJECT_NONE, NULL, &predictions, &error));
}

/* Small inputs: a call takes milliseconds. */
static cinetomo_model_options small_network(cinetomo_preprocess *preprocess) {
  cinetomo_model_options options;
  REQUIRE(cinetomo_preprocess_init(preprocess, sizeof *preprocess) == 0);
  REQUIRE(cinetomo_model_options_init(&options, sizeof options) == 0);
  preprocess->input_size[0] = 4;
  preprocess->input_size[1] = preprocess->input_size[2] = 16;
  preprocess->n_views = 1;
  options.backbone = "resnet3d_10";
  options.n_classes = CLASSES;
  options.preprocess = preprocess;
  return options;
}

static void models(void) {
  cinetomo_model *made = NULL;
  cinetomo_preprocess preprocess;
  cinetomo_model_options options = small_network(&preprocess);
  REQUIRE_OK(cinetomo_model_random(context, &options, &made, &error));
  cinetomo_model_free(made);
}

static void files(void) {
  cinetomo_model *loaded = NULL;
  REQUIRE_OK(cinetomo_model_save(model, path, &error));
  REQUIRE_OK(cinetomo_model_load(context, path, &loaded, &error));
  cinetomo_model_free(loaded);
}

/* With weights from video, where the environment says where they are. */
static void video(void) {
  cinetomo_model *made = NULL;
  cinetomo_model_options options;
  const char *checkpoint = getenv("CINETOMO_I3D");
  if (!checkpoint) return;
  size_t n = 0;
  REQUIRE_OK(cinetomo_weights_inspect(checkpoint, NULL, 0, &n, &error));
  REQUIRE(cinetomo_model_options_init(&options, sizeof options) == 0);
  options.n_classes = CLASSES;
  REQUIRE_OK(cinetomo_model_from_video(context, checkpoint, &options, NULL, &made, &error));
  cinetomo_model_free(made);
}

static void calibration(void) {
  cinetomo_model *calibrated = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_dataset set = fetched();
  REQUIRE_OK(cinetomo_model_calibrate(model, &volume, labels, N, NULL, NULL, &calibrated, &error));
  cinetomo_model_free(calibrated);
  calibrated = NULL;
  REQUIRE_OK(dataset->calibrate(model, &set, labels, N, NULL, NULL, &calibrated, &error));
  cinetomo_model_free(calibrated);
}

static cinetomo_fine_tune_options one_epoch(void) {
  cinetomo_fine_tune_options options;
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == 0);
  options.n_epochs = 1;
  return options;
}

static void training(void) {
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_dataset set = fetched();
  cinetomo_fine_tune_options options = one_epoch();
  REQUIRE_OK(cinetomo_model_fine_tune(model, &volume, labels, N, &options, NULL, &tuned, &error));
  cinetomo_model_free(tuned);
  tuned = NULL;
  REQUIRE_OK(dataset->fine_tune(model, &set, labels, N, &options, NULL, &tuned, &error));
  cinetomo_model_free(tuned);
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
  cinetomo_fine_tune_options options = one_epoch();
  REQUIRE(cinetomo_hooks_init(&hooks, sizeof hooks) == 0);
  hooks.progress = stop;
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
  REQUIRE(argc == 4 || argc == 5);
  int n = atoi(argv[1]), n_trainings = atoi(argv[2]);
  cinetomo_preprocess preprocess;
  cinetomo_model_options options = small_network(&preprocess);
  const struct {
    const char *name;
    void (*body)(void);
    int n;
  } kinds[] = {{"structs", structs, n},
               {"questions", questions, n},
               {"handles", handles, n},
               {"errors", errors, n},
               {"evaluation", evaluation, n},
               {"simulation", simulation, n},
               {"tomograms", tomograms, n},
               {"maps", maps, n},
               {"inference", inference, n},
               {"models", models, n / 10},
               {"files", files, n / 10},
               {"video", video, n / 100},
               {"calibration", calibration, n / 10},
               {"training", training, n_trainings},
               {"cancelled training", cancelled_training, n_trainings}};
  snprintf(path, sizeof path, "%s/model.safetensors", argv[3]);
  context = context_on(CINETOMO_DEVICE_CPU);
  REQUIRE_OK(cinetomo_model_random(context, &options, &model, &error));
  REQUIRE((synthetic = cinetomo_get_extension("cinetomo.synthetic/1")));
  REQUIRE((picker = cinetomo_get_extension("cinetomo.pick/1")));
  REQUIRE((project2d = cinetomo_get_extension("cinetomo.project2d/1")));
  REQUIRE((dataset = cinetomo_get_extension("cinetomo.dataset/1")));
  boxes();
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (argc == 4 || strcmp(argv[4], kinds[i].name) == 0) repeat(kinds[i].name, kinds[i].body, kinds[i].n);
  }
  cinetomo_model_free(model);
  cinetomo_context_free(context);
  return 0;
}
