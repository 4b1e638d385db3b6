/* With the CUDA part of libtorch installed: it is loaded when a context wants it and not before, libtorch then
   knows CUDA, and what is missing is named. */
#include "host.h"

int main(void) {
  float scores[N * CLASSES];
  cinetomo_model *model = random_model(context_on(CINETOMO_DEVICE_CPU));
  cinetomo_runtime_info info = runtime();
  REQUIRE(strstr(info.cuda_path, "libtorch_cuda.so") && info.cuda_loaded == 0);

  cinetomo_context_options options;
  cinetomo_context *cuda = NULL;
  cinetomo_error *error = NULL;
  REQUIRE(cinetomo_context_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.device = CINETOMO_DEVICE_CUDA;
  int32_t status = cinetomo_context_new(&options, &cuda, &error);
  /* Loading checks that libtorch reports the CUDA runtime; RUNTIME_CONFLICT would say that it does not. */
  info = runtime();
  REQUIRE(info.cuda_loaded == 1);
  if (strcmp(info.cuda_driver, "") == 0) {
    REQUIRE_ERROR(status, CINETOMO_STATUS_DEVICE_UNAVAILABLE, error, "the NVIDIA driver is missing");
  } else if (info.n_cuda_devices == 0) {
    REQUIRE_ERROR(status, CINETOMO_STATUS_DEVICE_UNAVAILABLE, error, "no device");
  } else {
    REQUIRE(status == CINETOMO_STATUS_OK);
    classify(random_model(cuda), scores);
    options.device_index = info.n_cuda_devices;
    status = cinetomo_context_new(&options, &cuda, &error);
    REQUIRE_ERROR(status, CINETOMO_STATUS_DEVICE_UNAVAILABLE, error, "there is no CUDA device");
  }
  /* The CPU works as before. */
  classify(model, scores);
  return 0;
}
