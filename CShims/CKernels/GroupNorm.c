#include "CKernels.h"
#include "Vector.h"

KERNEL void kernel_channel_sums(const float *x, double *restrict sums, size_t rows, size_t channels) {
  for (size_t c = 0; c < channels; c++) sums[c] = 0;
  for (size_t r = 0; r < rows; r++) {
    const float *restrict row = x + r * channels;
    for (size_t c = 0; c < channels; c++) sums[c] += row[c];
  }
}

KERNEL void kernel_channel_squares(
    const float *x, const double *restrict means, double *restrict sums, size_t rows, size_t channels) {
  for (size_t c = 0; c < channels; c++) sums[c] = 0;
  for (size_t r = 0; r < rows; r++) {
    const float *restrict row = x + r * channels;
    for (size_t c = 0; c < channels; c++) {
      double deviation = row[c] - means[c];
      sums[c] += deviation * deviation;
    }
  }
}

KERNEL void kernel_channel_affine(
    const float *x, const float *restrict means, const float *restrict scales, const float *restrict shifts, bool silu,
    float *y, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++) {
    const float *restrict from = x + r * channels;
    float *restrict to = y + r * channels;
    if (silu) {
      for (size_t c = 0; c < channels; c++) {
        float value = (from[c] - means[c]) * scales[c] + shifts[c];
        to[c] = value * kernel_sigmoid(value);
      }
    } else {
      for (size_t c = 0; c < channels; c++) to[c] = (from[c] - means[c]) * scales[c] + shifts[c];
    }
  }
}
