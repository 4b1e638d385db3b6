/* With hardly any memory left (an address space that is limited to what the process has and a little more), every call ends
   well or with OUT_OF_MEMORY, and the process goes on. argv[1]: a folder. Not here: t-SNE, whose thread glibc
   ends, and the process with it, where it has not even the memory to begin. */
#include <sys/resource.h>

#include "host.h"

static struct rlimit limit;
static cinetomo_context *context;
static cinetomo_model *model;
static const cinetomo_synthetic_api *synthetic;
static const cinetomo_pick_api *picker;
static const cinetomo_project2d_api *project2d;
static char path[4096];
static float *big;
enum { BIG = 1 << 25 };

/* Bytes of address space that the process has. */
static size_t size_now(void) {
  size_t pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  REQUIRE(file && fscanf(file, "%zu", &pages) == 1);
  fclose(file);
  return pages * 4096;
}

static void leave(size_t bytes) {
  struct rlimit narrow = limit;
  narrow.rlim_cur = size_now() + bytes;
  REQUIRE(setrlimit(RLIMIT_AS, &narrow) == 0);
}

static void leave_all(void) { REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0); }

static int32_t make(cinetomo_error **error) {
  cinetomo_model *made = NULL;
  cinetomo_model_options options;
  REQUIRE(cinetomo_model_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.n_classes = CLASSES;
  int32_t status = cinetomo_model_random(context, &options, &made, error);
  cinetomo_model_free(made);
  return status;
}

static int32_t infer(cinetomo_error **error) {
  float scores[N * CLASSES];
  size_t n = 0;
  cinetomo_volume volume = boxes();
  return cinetomo_model_classify(model, &volume, NULL, scores, N * CLASSES, &n, error);
}

/* One subtomogram of which every voxel is the same place: a great deal of work from no memory of the host's. */
static int32_t infer_large(cinetomo_error **error) {
  float scores[CLASSES];
  size_t n = 0;
  cinetomo_volume volume = boxes();
  volume.shape[0] = 1;
  volume.shape[1] = volume.shape[2] = volume.shape[3] = 40;
  volume.strides[0] = volume.strides[1] = volume.strides[2] = 1;
  volume.strides[3] = 3;
  return cinetomo_model_classify(model, &volume, NULL, scores, CLASSES, &n, error);
}

static int32_t embed(cinetomo_error **error) {
  size_t n = 0;
  cinetomo_volume volume = boxes();
  return cinetomo_model_embed(model, &volume, NULL, big, BIG, &n, error);
}

static int32_t explain(cinetomo_error **error) {
  size_t n = 0;
  cinetomo_volume volume = boxes();
  return cinetomo_model_grad_cam(model, &volume, NULL, NULL, big, BIG, &n, error);
}

static int32_t tune(cinetomo_error **error) {
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_fine_tune_options options;
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.n_epochs = 1;
  int32_t status = cinetomo_model_fine_tune(model, &volume, labels, N, &options, NULL, &tuned, error);
  cinetomo_model_free(tuned);
  return status;
}

static int32_t calibrate(cinetomo_error **error) {
  cinetomo_model *made = NULL;
  cinetomo_volume volume = boxes();
  int32_t status = cinetomo_model_calibrate(model, &volume, labels, N, NULL, NULL, &made, error);
  cinetomo_model_free(made);
  return status;
}

static int32_t save(cinetomo_error **error) { return cinetomo_model_save(model, path, error); }

static int32_t load(cinetomo_error **error) {
  cinetomo_model *loaded = NULL;
  int32_t status = cinetomo_model_load(context, path, &loaded, error);
  cinetomo_model_free(loaded);
  return status;
}

static int32_t simulate(cinetomo_error **error) {
  size_t n = 0;
  static int32_t many[16];
  return synthetic->simulate(context, NULL, many, 16, NULL, NULL, big, BIG, &n, error);
}

static int32_t simulate_tomogram(cinetomo_error **error) {
  size_t n = 0;
  const int64_t shape[3] = {64, 128, 128};
  return synthetic->simulate_tomogram(context, NULL, labels, N, shape, NULL, NULL, big, BIG, &n, NULL, 0, error);
}

static cinetomo_tomogram tomogram(void) {
  static cinetomo_volume volume;
  cinetomo_tomogram value;
  REQUIRE(picker->tomogram_init(&value, sizeof value) == CINETOMO_STATUS_OK);
  REQUIRE(cinetomo_volume_init(&volume, sizeof volume) == CINETOMO_STATUS_OK);
  volume.data = big;
  volume.shape[0] = 1;
  volume.shape[1] = 64;
  volume.shape[2] = volume.shape[3] = 256;
  volume.contrast = CINETOMO_CONTRAST_DARK;
  volume.voxel_size = 10;
  value.voxels = &volume;
  return value;
}

static int32_t pick(cinetomo_error **error) {
  size_t n = 0;
  static float positions[3000], scores[1000];
  cinetomo_tomogram value = tomogram();
  return picker->pick(context, &value, NULL, NULL, positions, scores, 1000, &n, error);
}

static int32_t extract(cinetomo_error **error) {
  size_t n = 0;
  static float positions[3 * 16];
  cinetomo_tomogram value = tomogram();
  cinetomo_extract_options options;
  REQUIRE(picker->extract_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.box_size = 48;
  for (int i = 0; i < 48; i++) positions[i] = 32;
  return picker->extract(context, &value, positions, 16, &options, NULL, big, BIG, &n, NULL, 0, error);
}

static int32_t tell_apart(cinetomo_error **error) {
  static int32_t classes[4000];
  cinetomo_separation out;
  REQUIRE(project2d->separation_init(&out, sizeof out) == CINETOMO_STATUS_OK);
  for (int i = 0; i < 4000; i++) classes[i] = i % 3;
  return project2d->separation(context, big, 4000 * 16, 16, classes, 4000, 5, &out, error);
}

enum { N_LABELS = 1 << 22 };
static int32_t many_labels[N_LABELS], parts[N_LABELS];

static int32_t divide(cinetomo_error **error) {
  size_t n = 0;
  for (int i = 0; i < N_LABELS; i++) many_labels[i] = i % 7;
  return cinetomo_split(many_labels, NULL, N_LABELS, NULL, parts, N_LABELS, &n, error);
}

static int32_t evaluate(cinetomo_error **error) {
  size_t n = 0;
  int64_t confusion[4];
  cinetomo_metrics metrics;
  REQUIRE(cinetomo_metrics_init(&metrics, sizeof metrics) == CINETOMO_STATUS_OK);
  for (int i = 0; i < N_LABELS; i++) many_labels[i] = i % 2;
  return cinetomo_evaluate(big, 2 * N_LABELS, many_labels, N_LABELS, 2, &metrics, confusion, 4, &n, error);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    int32_t (*call)(cinetomo_error **);
  } calls[] = {{"model_random", make},         {"classify", infer},      {"classify large", infer_large},
               {"embed", embed},               {"grad_cam", explain},    {"fine_tune", tune},
               {"calibrate", calibrate},       {"save", save},           {"load", load},
               {"simulate", simulate},         {"simulate_tomogram", simulate_tomogram},
               {"pick", pick},                 {"extract", extract},
               {"separation", tell_apart},     {"split", divide},
               {"evaluate", evaluate}};
  static const size_t left[] = {0, 1 << 20, 1 << 24};
  enum { N_CALLS = sizeof calls / sizeof *calls, N_LEFT = sizeof left / sizeof *left };
  REQUIRE(argc == 2 || argc == 3);
  snprintf(path, sizeof path, "%s/model.safetensors", argv[1]);
  REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
  REQUIRE((big = malloc(BIG * sizeof *big)));
  for (size_t i = 0; i < BIG; i++) big[i] = (float)(i * 7919 % 1009);
  context = context_on(CINETOMO_DEVICE_CPU);
  model = random_model(context);
  REQUIRE((synthetic = cinetomo_get_extension("cinetomo.synthetic/1")));
  REQUIRE((picker = cinetomo_get_extension("cinetomo.pick/1")));
  REQUIRE((project2d = cinetomo_get_extension("cinetomo.project2d/1")));
  int n_refused = 0;
  for (int i = 0; i < N_CALLS; i++) {
    if (argc == 3 && strcmp(argv[2], calls[i].name) != 0) continue;
    /* First with memory enough: oneDNN remembers for good that it could not compile its matrix product. */
    REQUIRE_OK(calls[i].call(&error));
    for (int j = 0; j < N_LEFT; j++) {
      cinetomo_error *error = NULL;
      leave(left[j]);
      int32_t status = calls[i].call(&error);
      leave_all();
      if (argc == 3) fprintf(stderr, "%s, %zu bytes left: %s\n", calls[i].name, left[j], cinetomo_error_message(error));
      if (status == CINETOMO_STATUS_OUT_OF_MEMORY) {
        n_refused++;
      } else if (status != CINETOMO_STATUS_OK) {
        fprintf(stderr, "%s, %zu bytes left: %s: %s\n", calls[i].name, left[j], cinetomo_status_name(status),
                cinetomo_error_message(error));
        return 1;
      }
      cinetomo_error_free(error);
    }
    /* With memory enough it works again. */
    REQUIRE_OK(calls[i].call(&error));
  }
  REQUIRE(argc == 3 || n_refused > 3);
  return 0;
}
