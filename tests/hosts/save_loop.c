/* Saves a model to argv[1] again and again until it is killed. Writes a line to argv[2] after the first. */
#include "host.h"

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  cinetomo_model *model = random_model(context_on(CINETOMO_DEVICE_CPU));
  for (;;) {
    REQUIRE_OK(cinetomo_model_save(model, argv[1], &error));
    fclose(fopen(argv[2], "w"));
  }
}
