/* After fork() the child gets UNSUPPORTED, also from a call that would work, and the parent goes on. */
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

int main(void) {
  float scores[N * CLASSES];
  cinetomo_model *model = random_model(context_on(CINETOMO_DEVICE_CPU));
  classify(model, scores);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    cinetomo_error *error = NULL;
    cinetomo_volume volume;
    size_t n = 0;
    REQUIRE(cinetomo_volume_init(&volume, sizeof volume) == CINETOMO_STATUS_UNSUPPORTED);
    int32_t status = cinetomo_model_classify(model, NULL, NULL, scores, N * CLASSES, &n, &error);
    REQUIRE_ERROR(status, CINETOMO_STATUS_UNSUPPORTED, error, "fork()");
    cinetomo_model_free(model);
    _exit(0);
  }
  int outcome = 0;
  REQUIRE(waitpid(child, &outcome, 0) == child);
  REQUIRE(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0);
  classify(model, scores);
  cinetomo_model_free(model);
  return 0;
}
