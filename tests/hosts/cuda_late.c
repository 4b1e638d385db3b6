/* A training on the CPU fixes the devices that libtorch knows: a later wish for CUDA is refused with the way out. */
#include "host.h"

int main(void) {
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_fine_tune_options training;
  REQUIRE(cinetomo_fine_tune_options_init(&training, sizeof training) == CINETOMO_STATUS_OK);
  training.n_epochs = 1;
  cinetomo_model *model = random_model(context_on(CINETOMO_DEVICE_CPU));
  REQUIRE_OK(cinetomo_model_fine_tune(model, &volume, labels, N, &training, NULL, &tuned, &error));

  cinetomo_context_options options;
  cinetomo_context *cuda = NULL;
  cinetomo_error *error = NULL;
  REQUIRE(cinetomo_context_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.device = CINETOMO_DEVICE_CUDA;
  int32_t status = cinetomo_context_new(&options, &cuda, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_DEVICE_UNAVAILABLE, error, "make the CUDA context first");
  return 0;
}
