/* Classifies subtomograms: classify MODEL BOXES BOX_SIZE, where BOXES is a raw file of float32 cubes, x fastest.
 * Prints one line a subtomogram: its index, its class and the probability.
 * Build: cc -std=c99 classify.c -o classify $(pkg-config --cflags --libs cinetomo) */
#include <cinetomo.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(cinetomo_error *error) {
  fprintf(stderr, "classify: %s\n", cinetomo_error_message(error));
  cinetomo_error_free(error);
  return 1;
}

/* Reads a file of floats; NULL if that is not possible. */
static float *read_floats(const char *path, size_t *out_n) {
  FILE *file = fopen(path, "rb");
  float *values = NULL;
  long size;
  if (file == NULL) return NULL;
  if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0) {
    *out_n = (size_t)size / sizeof(float);
    values = malloc(*out_n * sizeof(float));
    if (values != NULL && fread(values, sizeof(float), *out_n, file) != *out_n) {
      free(values);
      values = NULL;
    }
  }
  fclose(file);
  return values;
}

int main(int argc, char **argv) {
  cinetomo_context *context = NULL;
  cinetomo_model *model = NULL;
  cinetomo_error *error = NULL;
  cinetomo_model_info info;
  cinetomo_volume boxes;
  size_t n_voxels = 0, len = 0, i, j;
  float *voxels, *probabilities;
  long box_size = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

  if (box_size < 1 || box_size > 1024) {
    fprintf(stderr, "usage: classify MODEL BOXES BOX_SIZE\n");
    return 2;
  }
  voxels = read_floats(argv[2], &n_voxels);
  if (voxels == NULL || n_voxels % ((size_t)box_size * box_size * box_size) != 0) {
    fprintf(stderr, "classify: %s is not a file of %ld^3 float32 cubes\n", argv[2], box_size);
    return 1;
  }
  if (cinetomo_context_new(NULL, &context, &error)) return fail(error);
  if (cinetomo_model_load(context, argv[1], &model, &error)) return fail(error);
  cinetomo_model_info_init(&info, sizeof info);
  if (cinetomo_model_info_get(model, &info, &error)) return fail(error);

  cinetomo_volume_init(&boxes, sizeof boxes);
  boxes.data = voxels;
  boxes.data_bytes = n_voxels * sizeof *voxels;
  boxes.shape[1] = boxes.shape[2] = boxes.shape[3] = box_size;
  boxes.shape[0] = (int64_t)n_voxels / (boxes.shape[1] * boxes.shape[2] * boxes.shape[3]);

  len = (size_t)boxes.shape[0] * info.n_classes;
  probabilities = malloc(len * sizeof *probabilities);
  if (probabilities == NULL) return 1;
  if (cinetomo_model_classify(model, &boxes, NULL, probabilities, len, &len, &error)) return fail(error);
  for (i = 0; i < len; i += info.n_classes) {
    size_t best = 0;
    for (j = 1; j < info.n_classes; j++)
      if (probabilities[i + j] > probabilities[i + best]) best = j;
    printf("%zu %s %.4f\n", i / info.n_classes, info.class_names[best], probabilities[i + best]);
  }
  free(probabilities);
  free(voxels);
  cinetomo_model_free(model);
  cinetomo_context_free(context);
  return 0;
}
