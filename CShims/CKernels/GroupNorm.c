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
    void *y, bool rounds, size_t rows, size_t channels) {
  float piece[PIECE];
  for (size_t r = 0; r < rows; r++) {
    const float *restrict from = x + r * channels;
    for (size_t first = 0; first < channels; first += PIECE) {
      size_t count = channels - first < PIECE ? channels - first : PIECE;
      for (size_t i = 0; i < count; i++) {
        size_t c = first + i;
        float value = (from[c] - means[c]) * scales[c] + shifts[c];
        piece[i] = silu ? value * kernel_sigmoid(value) : value;
      }
      store_piece(piece, y, rounds, r * channels + first, count);
    }
  }
}
