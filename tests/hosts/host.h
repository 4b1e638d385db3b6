/* What the small hosts of this folder share: failing loudly. Each is a program that returns 0 if all is well. */
#ifndef HOST_H
#define HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cinetomo.h"

#define REQUIRE(condition)                                                       \
  do {                                                                           \
    if (!(condition)) {                                                          \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
      exit(1);                                                                   \
    }                                                                            \
  } while (0)

/* The call returned this status, and its message has these words. Frees the error. */
#define REQUIRE_ERROR(status, expected, error, words) \
  require_error(__FILE__, __LINE__, status, expected, error, words)

static inline void require_error(const char *file, int line, int32_t status, int32_t expected, cinetomo_error *error,
                                 const char *words) {
  const char *message = cinetomo_error_message(error);
  if (status != expected || cinetomo_error_status(error) != expected || !strstr(message, words)) {
    fprintf(stderr, "%s:%d: status %s, message '%s'; expected %s and '%s'\n", file, line, cinetomo_status_name(status),
            message, cinetomo_status_name(expected), words);
    exit(1);
  }
  cinetomo_error_free(error);
}

/* The call succeeded. */
#define REQUIRE_OK(call)                                                                         \
  do {                                                                                           \
    cinetomo_error *error = NULL;                                                                \
    if ((call) != CINETOMO_STATUS_OK) {                                                          \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cinetomo_error_message(error)); \
      exit(1);                                                                                   \
    }                                                                                            \
    REQUIRE(error == NULL);                                                                      \
  } while (0)

enum { EDGE = 16, VOXELS = EDGE * EDGE * EDGE, N = 4, CLASSES = 2 };
static float voxels[N * VOXELS];
static const int32_t labels[N] = {0, 1, 0, 1};

static inline cinetomo_volume boxes(void) {
  cinetomo_volume volume;
  for (int i = 0; i < N * VOXELS; i++) voxels[i] = (float)((i * 7919) % 1009);
  REQUIRE(cinetomo_volume_init(&volume, sizeof volume) == CINETOMO_STATUS_OK);
  volume.data = voxels;
  volume.data_bytes = sizeof voxels;
  volume.shape[0] = N;
  volume.shape[1] = volume.shape[2] = volume.shape[3] = EDGE;
  return volume;
}

static inline cinetomo_context *context_on(int32_t device) {
  cinetomo_context *context = NULL;
  cinetomo_context_options options;
  REQUIRE(cinetomo_context_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.device = device;
  options.n_threads = 1;
  REQUIRE_OK(cinetomo_context_new(&options, &context, &error));
  return context;
}

static inline cinetomo_model *random_model(const cinetomo_context *context) {
  cinetomo_model *model = NULL;
  cinetomo_model_options options;
  REQUIRE(cinetomo_model_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.n_classes = CLASSES;
  REQUIRE_OK(cinetomo_model_random(context, &options, &model, &error));
  return model;
}

static inline void classify(const cinetomo_model *model, float *scores) {
  cinetomo_volume volume = boxes();
  size_t n = 0;
  REQUIRE_OK(cinetomo_model_classify(model, &volume, NULL, scores, N * CLASSES, &n, &error));
  REQUIRE(n == N * CLASSES);
}

static inline cinetomo_runtime_info runtime(void) {
  cinetomo_runtime_info info;
  REQUIRE(cinetomo_runtime_info_init(&info, sizeof info) == CINETOMO_STATUS_OK);
  REQUIRE_OK(cinetomo_runtime_info_get(&info, &error));
  return info;
}

#endif
