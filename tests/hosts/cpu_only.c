/* On a CPU-only install everything works but CUDA, and the library says why. */
#include "host.h"

int main(void) {
  float scores[N * CLASSES];
  cinetomo_context_options options;
  cinetomo_context *cuda = (cinetomo_context *)&options;
  cinetomo_error *error = NULL;
  REQUIRE(cinetomo_context_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.device = CINETOMO_DEVICE_CUDA;
  int32_t status = cinetomo_context_new(&options, &cuda, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_DEVICE_UNAVAILABLE, error, "the CUDA part of libtorch is missing");
  REQUIRE(cuda == (cinetomo_context *)&options);

  cinetomo_runtime_info info = runtime();
  REQUIRE(strcmp(info.cuda_path, "") == 0 && info.cuda_loaded == 0 && info.n_cuda_devices == 0);
  REQUIRE(strstr(info.libtorch_path, "libtorch_cpu.so") && strcmp(info.libtorch_version, "") != 0);
  REQUIRE(strstr(info.summary, "CPU only") && info.n_cores > 0 && info.abi_version == CINETOMO_ABI_VERSION);

  classify(random_model(context_on(CINETOMO_DEVICE_AUTO)), scores);
  return 0;
}
