/* A process that already has another libtorch is told so before anything is used. */
#include <dlfcn.h>

#include "host.h"

int main(int argc, char **argv) {
  cinetomo_context *context = NULL;
  cinetomo_error *error = NULL;
  REQUIRE(argc == 2 && dlopen(argv[1], RTLD_NOW | RTLD_LOCAL));
  int32_t status = cinetomo_context_new(NULL, &context, &error);
  REQUIRE(strstr(cinetomo_error_message(error), argv[1]));
  REQUIRE_ERROR(status, CINETOMO_STATUS_RUNTIME_CONFLICT, error, "two copies of libtorch");
  return 0;
}
