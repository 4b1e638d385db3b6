/* The whole job in C. make install PREFIX=..., then: cc quickstart.c $(pkg-config --cflags --libs cinetomo) */
#include <cinetomo.h>
#include <stdio.h>

int tune(const char *checkpoint, const float *voxels, const int32_t *labels, int n, const char *model_file) {
  cinetomo_context *context = NULL;
  cinetomo_model *video = NULL, *tuned = NULL;
  cinetomo_error *error = NULL;
  cinetomo_model_options options;
  cinetomo_volume boxes;
  if (cinetomo_model_options_init(&options, sizeof options) || cinetomo_volume_init(&boxes, sizeof boxes)) return 1;
  options.n_classes = 7;
  boxes.data = voxels; /* n boxes of 32^3 floats, x fastest */
  boxes.shape[0] = n;
  boxes.shape[1] = boxes.shape[2] = boxes.shape[3] = 32;

  int failed = cinetomo_context_new(NULL, &context, &error) ||
               cinetomo_model_from_video(context, checkpoint, &options, NULL, &video, &error) ||
               cinetomo_model_fine_tune(video, &boxes, labels, (size_t)n, NULL, NULL, &tuned, &error) ||
               cinetomo_model_save(tuned, model_file, &error);
  if (failed) fprintf(stderr, "%s\n", cinetomo_error_message(error));
  cinetomo_error_free(error);
  cinetomo_model_free(tuned);
  cinetomo_model_free(video);
  cinetomo_context_free(context);
  return failed;
}
