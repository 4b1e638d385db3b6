/* Classifies subtomograms: classify MODEL BOXES BOX_SIZE, where BOXES is a raw file of float32 cubes, x fastest.
 * Prints one line a subtomogram: its index, its class and the probability. Ctrl-C stops it.
 *
 * C99, one file, every error checked and everything freed on every way out: the one to copy from.
 * Build: cc -std=c99 classify.c -o classify $(pkg-config --cflags --libs cinetomo) */
#include <cinetomo.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t interrupted = 0;

static void interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

/* Called now and then during long work, on the thread that made the call; non-zero stops it with CANCELLED. */
static int32_t progress(void *user_data, const cinetomo_progress *now) {
  (void)user_data;
  (void)now;
  return interrupted != 0;
}

/* Warnings of the library. */
static void log_line(void *user_data, int32_t level, const char *message) {
  (void)user_data;
  (void)level;
  fprintf(stderr, "classify: %s\n", message);
}

/* Whether a call succeeded; if not, says why and frees the error. */
static int is_ok(int32_t status, cinetomo_error *error) {
  if (status == CINETOMO_STATUS_OK) return 1;
  fprintf(stderr, "classify: %s: %s\n", cinetomo_status_name(status), cinetomo_error_message(error));
  cinetomo_error_free(error);
  return 0;
}

/* Reads a file of cubes of `box_size`^3 floats; NULL, having said why, if it is not one. */
static float *read_boxes(const char *path, size_t box_size, size_t *out_n) {
  const size_t box_bytes = box_size * box_size * box_size * sizeof(float);
  float *voxels = NULL;
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
    fprintf(stderr, "classify: %s: %s\n", path, strerror(errno));
  } else {
    const long size = ftell(file);
    if (size <= 0 || (unsigned long)size % box_bytes != 0) {
      fprintf(stderr, "classify: %s has %ld bytes; expected a multiple of %lu, %lu^3 float32 voxels\n", path, size,
              (unsigned long)box_bytes, (unsigned long)box_size);
    } else if ((voxels = malloc((size_t)size)) == NULL) {
      fprintf(stderr, "classify: no memory for the %ld bytes of %s\n", size, path);
    } else if (fseek(file, 0, SEEK_SET) != 0 || fread(voxels, 1, (size_t)size, file) != (size_t)size) {
      fprintf(stderr, "classify: %s: %s\n", path, ferror(file) ? strerror(errno) : "it ended while it was read");
      free(voxels);
      voxels = NULL;
    } else {
      *out_n = (size_t)size / box_bytes;
    }
  }
  if (file != NULL) fclose(file);
  return voxels;
}

/* Prints the most probable class of each of `n` subtomograms; whether that worked. */
static int print_classes(const float *probabilities, size_t n, const cinetomo_model_info *info) {
  size_t i, j;
  for (i = 0; i < n; i++) {
    const float *row = probabilities + i * info->n_classes;
    size_t best = 0;
    for (j = 1; j < info->n_classes; j++)
      if (row[j] > row[best]) best = j;
    if (printf("%lu %s %.4f\n", (unsigned long)i, info->class_names[best], row[best]) < 0) return 0;
  }
  return fflush(stdout) == 0;
}

static int classify(const char *model_path, const char *boxes_path, size_t box_size) {
  cinetomo_context *context = NULL;
  cinetomo_model *model = NULL;
  cinetomo_error *error = NULL;
  cinetomo_context_options options;
  cinetomo_model_info info;
  cinetomo_volume boxes;
  cinetomo_hooks hooks;
  float *voxels = NULL, *probabilities = NULL;
  size_t n = 0, len = 0;
  int done = 0;

  /* `_init` functions have no error: they fail only if this program's header is newer than the library. */
  if (cinetomo_context_options_init(&options, sizeof options) || cinetomo_hooks_init(&hooks, sizeof hooks) ||
      cinetomo_model_info_init(&info, sizeof info) || cinetomo_volume_init(&boxes, sizeof boxes)) {
    fprintf(stderr, "classify: the cinetomo library, %s, is older than this program\n", cinetomo_version());
    return 0;
  }
  options.log = log_line;
  hooks.progress = progress;

  voxels = read_boxes(boxes_path, box_size, &n);
  if (voxels == NULL) goto end;
  if (!is_ok(cinetomo_context_new(&options, &context, &error), error)) goto end;
  if (!is_ok(cinetomo_model_load(context, model_path, &model, &error), error)) goto end;
  if (!is_ok(cinetomo_model_info_get(model, &info, &error), error)) goto end;

  boxes.data = voxels;
  boxes.data_bytes = n * box_size * box_size * box_size * sizeof *voxels; /* the library checks the shape against it */
  boxes.shape[0] = (int64_t)n;
  boxes.shape[1] = boxes.shape[2] = boxes.shape[3] = (int64_t)box_size;

  /* With capacity 0 a call says how many numbers it will write, and does nothing else. */
  if (!is_ok(cinetomo_model_classify(model, &boxes, NULL, NULL, 0, &len, &error), error)) goto end;
  probabilities = malloc(len * sizeof *probabilities);
  if (probabilities == NULL) {
    fprintf(stderr, "classify: no memory for %lu probabilities\n", (unsigned long)len);
    goto end;
  }
  if (!is_ok(cinetomo_model_classify(model, &boxes, &hooks, probabilities, len, &len, &error), error)) goto end;
  done = print_classes(probabilities, n, &info);
  if (!done) fprintf(stderr, "classify: the results cannot be written: %s\n", strerror(errno));

end: /* all of these take NULL; what the model says of itself lives as long as the model */
  free(probabilities);
  cinetomo_model_free(model);
  cinetomo_context_free(context);
  free(voxels);
  return done;
}

int main(int argc, char **argv) {
  char *end = NULL;
  const long box_size = argc == 4 ? strtol(argv[3], &end, 10) : 0;
  if (box_size < 1 || box_size > 1024 || *end != '\0') {
    fprintf(stderr, "usage: classify MODEL BOXES BOX_SIZE\n");
    return 2;
  }
  if (signal(SIGINT, interrupt) == SIG_ERR) return 1;
  return classify(argv[1], argv[2], (size_t)box_size) ? 0 : 1;
}
