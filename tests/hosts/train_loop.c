/* Trains with a checkpoint at argv[1] and saves the model to argv[2]: killed and started again, it goes on. Prints a line an epoch. */
#include "host.h"

static int32_t report(void *user_data, const cinetomo_progress *progress) {
  (void)user_data;
  if (progress->stage == CINETOMO_STAGE_TRAIN && progress->step == progress->n_steps) {
    printf("%d\n", progress->epoch);
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_hooks hooks;
  cinetomo_fine_tune_options options;
  REQUIRE(cinetomo_hooks_init(&hooks, sizeof hooks) == CINETOMO_STATUS_OK);
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  hooks.progress = report;
  options.n_epochs = 6;
  options.batch_size = 2;
  options.checkpoint = argv[1];
  cinetomo_model *model = random_model(context_on(CINETOMO_DEVICE_CPU));
  REQUIRE_OK(cinetomo_model_fine_tune(model, &volume, labels, N, &options, &hooks, &tuned, &error));
  REQUIRE_OK(cinetomo_model_save(tuned, argv[2], &error));
  return 0;
}
