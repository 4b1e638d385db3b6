/* Wrong on purpose: says that its buffer is larger than it is. What runs the hosts of this folder to find such things must find
   this one. */
#include "host.h"

int main(void) {
  float *scores = malloc(sizeof(float));
  classify(random_model(context_on(CINETOMO_DEVICE_CPU)), scores);
  return 0;
}
