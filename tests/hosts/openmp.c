/* A host that uses OpenMP itself finds its thread count as it left it. */
#include <omp.h>

#include "host.h"

int main(void) {
  float scores[N * CLASSES];
  omp_set_num_threads(3);
  runtime();
  REQUIRE(omp_get_max_threads() == 3);
  cinetomo_context *context = context_on(CINETOMO_DEVICE_CPU); /* with one thread */
  REQUIRE(omp_get_max_threads() == 3);
  cinetomo_model *model = random_model(context);
  REQUIRE(omp_get_max_threads() == 3);
  classify(model, scores);
  REQUIRE(omp_get_max_threads() == 3);
  cinetomo_model_free(model);
  cinetomo_context_free(context);
  REQUIRE(omp_get_max_threads() == 3);
  return 0;
}
