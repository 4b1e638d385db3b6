/* What libtorch sets up in the middle of a first batch is destroyed by exit() before the library's own handler stops that batch:
   it must be nothing that a computation needs. Handles of operators are not: nothing is freed with them. argv[1]: a network;
   argv[2]: classify or train. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

#include "host.h"

/* What comes first is set up before the batch; then the thread that made the call registers the library's handler. */
enum { BEFORE, SETTING_UP, IN_BATCH };
static int phase;
static bool watching;
static pthread_t caller;
static int n_lost;

/* Stands before the C library's: libtorch is linked to this one. */
__attribute__((visibility("default"))) int __cxa_atexit(void (*function)(void *), void *argument, void *library) {
  static int (*real)(void (*)(void *), void *, void *);
  Dl_info from;
  if (!real) real = (int (*)(void (*)(void *), void *, void *))dlsym(RTLD_NEXT, "__cxa_atexit");
  if (watching && dladdr(__builtin_return_address(0), &from) && from.dli_fname) {
    bool is_handle = from.dli_sname && strncmp(from.dli_sname, "_ZN2at4_ops", 11) == 0;
    if (strstr(from.dli_fname, "libcinetomo")) {
      if (phase == SETTING_UP && pthread_equal(pthread_self(), caller)) phase = IN_BATCH;
    } else if (!is_handle) {
      if (phase == BEFORE) phase = SETTING_UP;
      if (phase == IN_BATCH) {
        const char *name = from.dli_sname ? from.dli_sname : "?";
        size_t place = (size_t)((char *)__builtin_return_address(0) - (char *)from.dli_fbase);
        fprintf(stderr, "set up in a batch: %s, 0x%zx of %s\n", name, place, from.dli_fname);
        n_lost++;
      }
    }
  }
  return real(function, argument, library);
}

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  float scores[N * CLASSES];
  cinetomo_context *context = context_on(CINETOMO_DEVICE_CPU);
  cinetomo_model *model = NULL, *tuned = NULL;
  cinetomo_model_options options;
  REQUIRE(cinetomo_model_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.n_classes = CLASSES;
  options.backbone = argv[1];
  REQUIRE_OK(cinetomo_model_random(context, &options, &model, &error));
  caller = pthread_self();
  watching = true;
  if (strcmp(argv[2], "train") == 0) {
    cinetomo_volume volume = boxes();
    cinetomo_fine_tune_options tuning;
    REQUIRE(cinetomo_fine_tune_options_init(&tuning, sizeof tuning) == CINETOMO_STATUS_OK);
    tuning.n_epochs = 1;
    REQUIRE_OK(cinetomo_model_fine_tune(model, &volume, labels, N, &tuning, NULL, &tuned, &error));
  } else {
    classify(model, scores);
  }
  watching = false;
  REQUIRE(phase == IN_BATCH && n_lost == 0);
  return 0;
}
