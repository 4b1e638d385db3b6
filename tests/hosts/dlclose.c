/* A thread that used the library ends after the host has closed it: nothing is unmapped under it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "cinetomo.h"

static void *library;

static void *work(void *path) {
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return "dlopen failed";
  const cinetomo_api *(*get_api)(uint32_t);
  *(void **)&get_api = dlsym(library, "cinetomo_get_api");
  if (!get_api) return "no cinetomo_get_api";
  const cinetomo_api *api = get_api(CINETOMO_ABI_VERSION);
  cinetomo_model_options options;
  cinetomo_context *context = NULL;
  cinetomo_model *model = NULL;
  if (api->model_options_init(&options, sizeof options)) return "no options";
  options.n_classes = 2;
  if (api->context_new(NULL, &context, NULL)) return "no context";
  if (api->model_random(context, &options, &model, NULL)) return "no model";
  api->model_free(model);
  api->context_free(context);
  dlclose(library);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t thread;
  void *failure = NULL;
  if (argc != 2 || pthread_create(&thread, NULL, work, argv[1])) return 1;
  pthread_join(thread, &failure);
  if (failure) fprintf(stderr, "%s: %s\n", (const char *)failure, dlerror());
  return failure ? 1 : 0;
}
