/* The first computation on the CPU fixes the devices that libtorch knows: a later wish for CUDA is refused with the
   way out. */
#include "host.h"

int main(void) {
  float scores[N * CLASSES];
  classify(random_model(context_on(CINETOMO_DEVICE_CPU)), scores);
  cinetomo_context_options options;
  cinetomo_context *cuda = NULL;
  cinetomo_error *error = NULL;
  REQUIRE(cinetomo_context_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.device = CINETOMO_DEVICE_CUDA;
  int32_t status = cinetomo_context_new(&options, &cuda, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_DEVICE_UNAVAILABLE, error, "make the CUDA context first");
  return 0;
}
