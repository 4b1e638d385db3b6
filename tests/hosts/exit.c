/* exit() while threads are in the library: the process ends at once and with the status that was asked for.
 *
 * exit WAY MILLISECONDS: what the threads do, and for how long before the end. `first_train` and `first_classify` end in the first
 * batch, or while it is prepared, which crashes now and then: benches/record/endurance.md has how often. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

enum { STATUS = 7 };

static cinetomo_volume volume;
static cinetomo_context *context;
static cinetomo_model *model, *other;
static atomic_bool at_work;

static int32_t train(const cinetomo_model *of, int32_t (*progress)(void *, const cinetomo_progress *)) {
  cinetomo_fine_tune_options options;
  cinetomo_hooks hooks;
  cinetomo_model *tuned = NULL;
  if (cinetomo_fine_tune_options_init(&options, sizeof options) || cinetomo_hooks_init(&hooks, sizeof hooks)) {
    return CINETOMO_STATUS_UNSUPPORTED;
  }
  options.n_epochs = 100000;
  hooks.progress = progress;
  return cinetomo_model_fine_tune(of, &volume, labels, N, &options, &hooks, &tuned, NULL);
}

static int32_t go_on(void *user_data, const cinetomo_progress *progress) {
  (void)user_data, (void)progress;
  at_work = true;
  return 0;
}

static void *training(void *of) {
  int32_t status = train(of, go_on);
  REQUIRE(status == CINETOMO_STATUS_CANCELLED || status == CINETOMO_STATUS_UNSUPPORTED);
  return NULL;
}

/* Short calls, one after the other, which notice nothing of the end but that it has begun. */
static void *classifying(void *of) {
  float scores[N * CLASSES];
  for (;;) {
    size_t n = 0;
    int32_t status = cinetomo_model_classify(of, &volume, NULL, scores, N * CLASSES, &n, NULL);
    at_work = true;
    if (status != CINETOMO_STATUS_OK) {
      REQUIRE(status == CINETOMO_STATUS_CANCELLED || status == CINETOMO_STATUS_UNSUPPORTED);
      return NULL;
    }
  }
}

/* Models that come and go. */
static void *making(void *none) {
  for (;;) {
    cinetomo_model_options options;
    cinetomo_model *made = NULL;
    if (cinetomo_model_options_init(&options, sizeof options)) return none;
    options.n_classes = CLASSES;
    at_work = true;
    if (cinetomo_model_random(context, &options, &made, NULL)) return none;
    cinetomo_model_free(made);
  }
}

static int32_t exit_here(void *user_data, const cinetomo_progress *progress) {
  (void)user_data;
  if (progress->epoch > 1) exit(STATUS);
  return 0;
}

static int32_t wait_for_ever(void *user_data, const cinetomo_progress *progress) {
  (void)user_data, (void)progress;
  at_work = true;
  for (;;) pause();
  return 0;
}

static void *blocked(void *of) {
  train(of, wait_for_ever);
  return NULL;
}

static void *exiting(void *none) {
  (void)none;
  exit(STATUS);
}

/* Runs after the library's own handler. */
static void afterwards(void) {
  cinetomo_error *error = NULL;
  cinetomo_runtime_info info;
  int32_t status = cinetomo_runtime_info_get(&info, &error);
  const char *message = cinetomo_error_message(error);
  bool said = strstr(message, "ending") || strstr(message, "fork()");
  if (status != CINETOMO_STATUS_UNSUPPORTED || !said) _exit(1);
  cinetomo_error_free(error);
  cinetomo_model_free(model);
  cinetomo_context_free(context);
}

static void begin(void *(*work)(void *), cinetomo_model *of) {
  pthread_t thread;
  at_work = false;
  REQUIRE(pthread_create(&thread, NULL, work, of) == 0);
  REQUIRE(pthread_detach(thread) == 0);
}

static void start(void *(*work)(void *), cinetomo_model *of) {
  begin(work, of);
  while (!at_work) usleep(1000);
}

int main(int argc, char **argv) {
  REQUIRE(argc == 3);
  const char *way = argv[1];
  REQUIRE(atexit(afterwards) == 0);
  volume = boxes();
  context = context_on(CINETOMO_DEVICE_CPU);
  model = random_model(context);
  other = random_model(context);
  if (!strcmp(way, "train")) {
    start(training, model);
  } else if (!strcmp(way, "classify")) {
    start(classifying, model);
    start(classifying, other);
  } else if (!strcmp(way, "make")) {
    start(making, NULL);
  } else if (!strcmp(way, "everything")) {
    start(training, model);
    start(classifying, other);
    start(making, NULL);
    pthread_t thread;
    usleep(1000 * atoi(argv[2]));
    REQUIRE(pthread_create(&thread, NULL, exiting, NULL) == 0);
    for (;;) pause();
  } else if (!strcmp(way, "callback")) {
    /* By a thread in a callback, while one waits for its model and another is at work. */
    start(training, other);
    begin(classifying, model);
    train(model, exit_here);
  } else if (!strcmp(way, "blocked")) {
    start(blocked, model);
    start(training, other);
  } else if (!strcmp(way, "child")) {
    /* A child has no threads to wait for; the parent goes on. */
    start(training, model);
    usleep(1000 * atoi(argv[2]));
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) exit(STATUS);
    int outcome = 0;
    REQUIRE(waitpid(child, &outcome, 0) == child && WIFEXITED(outcome) && WEXITSTATUS(outcome) == STATUS);
    float scores[N * CLASSES];
    classify(other, scores);
  } else if (!strcmp(way, "first_train")) {
    begin(training, model);
  } else if (!strcmp(way, "first_classify")) {
    begin(classifying, model);
  } else if (!strcmp(way, "quick")) {
    start(training, model);
    usleep(1000 * atoi(argv[2]));
    quick_exit(STATUS);
  } else {
    REQUIRE(!"a way to end");
  }
  usleep(1000 * atoi(argv[2]));
  return STATUS;
}
