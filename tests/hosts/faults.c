/* What goes wrong around a host: signals that interrupt system calls, clocks that jump, voxels that are no numbers, a disk that is
   full or cannot be written to, files that shrink while they are read. Calls end well or with an error that names the file, old
   files stay whole, and the process lives. argv[1]: a folder; argv[2] and argv[3]: one without space and one that is read-only. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

static char path[4096];
static cinetomo_context *context;
static cinetomo_model *model;
static volatile sig_atomic_t n_signals;

static void count(int number) {
  (void)number;
  n_signals++;
}

static long size_of(const char *name) {
  struct stat status;
  return stat(name, &status) == 0 ? (long)status.st_size : -1;
}

static void tune(float *scores) {
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_fine_tune_options options;
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.n_epochs = 1;
  REQUIRE_OK(cinetomo_model_fine_tune(model, &volume, labels, N, &options, NULL, &tuned, &error));
  classify(tuned, scores);
  cinetomo_model_free(tuned);
}

static void round_trip(float *scores) {
  cinetomo_model *loaded = NULL;
  REQUIRE_OK(cinetomo_model_save(model, path, &error));
  REQUIRE_OK(cinetomo_model_load(context, path, &loaded, &error));
  classify(loaded, scores);
  cinetomo_model_free(loaded);
}

/* A signal every millisecond, of a handler that does not ask for system calls to be taken up again. */
static void signals(void) {
  float quiet[2][N * CLASSES], stormy[2][N * CLASSES];
  struct sigaction action = {.sa_handler = count};
  struct itimerval storm = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
  tune(quiet[0]);
  round_trip(quiet[1]);
  REQUIRE(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &storm, NULL) == 0);
  tune(stormy[0]);
  round_trip(stormy[1]);
  REQUIRE(setitimer(ITIMER_REAL, &none, NULL) == 0);
  REQUIRE(n_signals > 20 && memcmp(quiet, stormy, sizeof quiet) == 0);
}

static volatile int clocks_jump;
static atomic_int n_asked;

/* The clock of the day, which an administrator, a time server or a suspended laptop sets: by up to a year to and fro. Stands before
   the C library's. */
int clock_gettime(clockid_t clock, struct timespec *now) {
  long status = syscall(SYS_clock_gettime, clock, now);
  if (clocks_jump && clock == CLOCK_REALTIME) {
    int n = n_asked++;
    now->tv_sec += (n % 2 ? 1 : -1) * (n * 7919L % 31536000);
  }
  return (int)status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int status = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return status;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

static void clocks(void) {
  float steady[2][N * CLASSES], jumping[2][N * CLASSES];
  tune(steady[0]);
  round_trip(steady[1]);
  clocks_jump = 1;
  struct timespec first, second;
  clock_gettime(CLOCK_REALTIME, &first);
  clock_gettime(CLOCK_REALTIME, &second);
  REQUIRE(first.tv_sec != second.tv_sec);
  tune(jumping[0]);
  round_trip(jumping[1]);
  clocks_jump = 0;
  REQUIRE(memcmp(steady, jumping, sizeof steady) == 0);
}

/* Wherever voxels go in, the first that is no number is named, and nothing comes out. */
static void no_numbers(void) {
  static const float wrong[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    cinetomo_error *error = NULL;
    cinetomo_model *none = NULL;
    float scores[N * CLASSES];
    size_t n = 0;
    cinetomo_volume volume = boxes();
    voxels[2 * VOXELS + 5 * EDGE * EDGE + 6 * EDGE + 7] = wrong[i];
    int32_t status = cinetomo_model_classify(model, &volume, NULL, scores, N * CLASSES, &n, &error);
    REQUIRE_ERROR(status, CINETOMO_STATUS_NON_FINITE, error, "box 2: 1 voxel is NaN or infinite, the first at z=5, y=6, x=7");
    error = NULL;
    status = cinetomo_model_fine_tune(model, &volume, labels, N, NULL, NULL, &none, &error);
    REQUIRE_ERROR(status, CINETOMO_STATUS_NON_FINITE, error, "box 2");
    error = NULL;
    status = cinetomo_model_calibrate(model, &volume, labels, N, NULL, NULL, &none, &error);
    REQUIRE_ERROR(status, CINETOMO_STATUS_NON_FINITE, error, "box 2");
    float rows[] = {0.5f, 0.5f, 1, 0, 0.25f, wrong[i], 0, 1};
    int64_t confusion[CLASSES * CLASSES];
    cinetomo_metrics metrics;
    REQUIRE(cinetomo_metrics_init(&metrics, sizeof metrics) == CINETOMO_STATUS_OK);
    error = NULL;
    status = cinetomo_evaluate(rows, 8, labels, N, CLASSES, &metrics, confusion, CLASSES * CLASSES, &n, &error);
    REQUIRE_ERROR(status, CINETOMO_STATUS_NON_FINITE, error, "score of subtomogram 2 for class 1");
    REQUIRE(n == 0 && none == NULL);
  }
}

/* Files may grow to a megabyte only: what does not fit leaves the old file. */
static void limited(void) {
  float scores[N * CLASSES];
  struct rlimit whole, narrow;
  cinetomo_error *error = NULL;
  cinetomo_model *tuned = NULL;
  char checkpoint[4200];
  long old = size_of(path);
  REQUIRE(getrlimit(RLIMIT_FSIZE, &whole) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  narrow = whole;
  narrow.rlim_cur = 1 << 20;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &narrow) == 0);
  int32_t status = cinetomo_model_save(model, path, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_IO, error, path);

  /* A training that cannot keep its state says so, and is not lost without a word. */
  cinetomo_volume volume = boxes();
  cinetomo_fine_tune_options options;
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  snprintf(checkpoint, sizeof checkpoint, "%s.training", path);
  options.n_epochs = 1;
  options.checkpoint = checkpoint;
  status = cinetomo_model_fine_tune(model, &volume, labels, N, &options, NULL, &tuned, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_IO, error, checkpoint);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &whole) == 0);
  REQUIRE(tuned == NULL && size_of(checkpoint) == -1 && size_of(path) == old);
  cinetomo_model *loaded = NULL;
  REQUIRE_OK(cinetomo_model_load(context, path, &loaded, &error));
  classify(loaded, scores);
  cinetomo_model_free(loaded);
}

static void full(const char *folder) {
  char name[4200];
  cinetomo_error *error = NULL;
  snprintf(name, sizeof name, "%s/model.safetensors", folder);
  int32_t status = cinetomo_model_save(model, name, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_IO, error, "No space left");
  REQUIRE(size_of(name) == -1);
  /* Where no file can be made at all. */
  error = NULL;
  status = cinetomo_model_save(model, "/proc/model.safetensors", &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_IO, error, "/proc/model.safetensors");
}

static void read_only(const char *folder) {
  char name[4200];
  cinetomo_error *error = NULL;
  cinetomo_model *tuned = NULL;
  cinetomo_volume volume = boxes();
  cinetomo_fine_tune_options options;
  snprintf(name, sizeof name, "%s/model.safetensors", folder);
  int32_t status = cinetomo_model_save(model, name, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_IO, error, "read-only");
  REQUIRE(cinetomo_fine_tune_options_init(&options, sizeof options) == CINETOMO_STATUS_OK);
  options.n_epochs = 1;
  options.checkpoint = name;
  error = NULL;
  status = cinetomo_model_fine_tune(model, &volume, labels, N, &options, NULL, &tuned, &error);
  REQUIRE_ERROR(status, CINETOMO_STATUS_IO, error, name);
  REQUIRE(tuned == NULL && size_of(name) == -1);
}

static volatile int reading = 1;
static char victim[4200];

/* Cuts the file and makes it whole again, over and over. */
static void *shrink(void *bytes) {
  for (unsigned i = 1; reading; i++) {
    FILE *file = fopen(victim, "wb");
    long n = size_of(path);
    if (file) {
      fwrite(bytes, 1, i % 3 ? (size_t)n : (size_t)(n / (i % 7 + 2)), file);
      fclose(file);
    }
    REQUIRE(truncate(victim, i % 2 ? n / 2 : n) == 0);
  }
  return NULL;
}

static void shrinking(void) {
  long n = size_of(path);
  char *bytes = malloc((size_t)n);
  FILE *file = fopen(path, "rb");
  pthread_t thread;
  int n_refused = 0;
  REQUIRE(bytes && file && fread(bytes, 1, (size_t)n, file) == (size_t)n);
  fclose(file);
  snprintf(victim, sizeof victim, "%s.victim", path);
  REQUIRE((file = fopen(victim, "wb")) && fwrite(bytes, 1, (size_t)n, file) == (size_t)n && fclose(file) == 0);
  REQUIRE(pthread_create(&thread, NULL, shrink, bytes) == 0);
  for (int i = 0; i < 40; i++) {
    cinetomo_error *error = NULL;
    cinetomo_model *loaded = NULL;
    size_t length = 0;
    int32_t status = cinetomo_model_load(context, victim, &loaded, &error);
    n_refused += status != CINETOMO_STATUS_OK;
    REQUIRE(status == CINETOMO_STATUS_OK || status == CINETOMO_STATUS_FORMAT || status == CINETOMO_STATUS_IO ||
            status == CINETOMO_STATUS_NON_FINITE);
    REQUIRE(status == CINETOMO_STATUS_OK || strstr(cinetomo_error_message(error), victim));
    cinetomo_error_free(error);
    cinetomo_model_free(loaded);
    cinetomo_weights_inspect(victim, NULL, 0, &length, NULL);
  }
  reading = 0;
  REQUIRE(pthread_join(thread, NULL) == 0 && n_refused > 0);
  free(bytes);
}

int main(int argc, char **argv) {
  REQUIRE(argc == 4);
  snprintf(path, sizeof path, "%s/model.safetensors", argv[1]);
  context = context_on(CINETOMO_DEVICE_CPU);
  model = random_model(context);
  signals();
  clocks();
  no_numbers();
  limited();
  shrinking();
  full(argv[2]);
  read_only(argv[3]);
  return 0;
}
