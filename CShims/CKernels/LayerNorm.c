#include "CKernels.h"
#include "Vector.h"

KERNEL void kernel_layer_norm(
    const float *x, const float *restrict weight, const float *restrict bias, float epsilon, float *y, size_t rows,
    size_t channels) {
// The sums may be taken in any order, or they would not vectorise.
#pragma clang fp reassociate(on)
  for (size_t r = 0; r < rows; r++) {
    const float *restrict from = x + r * channels;
    float *restrict to = y + r * channels;
    double sum = 0, squares = 0;
    for (size_t c = 0; c < channels; c++) sum += from[c];
    double mean = sum / (double)channels;
    for (size_t c = 0; c < channels; c++) {
      double deviation = from[c] - mean;
      squares += deviation * deviation;
    }
    float factor = (float)(1.0 / sqrt(squares / (double)channels + (double)epsilon));
    float center = (float)mean;
    for (size_t c = 0; c < channels; c++) to[c] = (from[c] - center) * factor * weight[c] + bias[c];
  }
}
