#include "CKernels.h"
#include "Vector.h"

KERNEL void kernel_layer_norm(
    const float *x, const float *restrict weight, const float *restrict bias, float epsilon, void *y, bool rounds,
    size_t rows, size_t channels) {
// The sums may be taken in any order, or they would not vectorise.
#pragma clang fp reassociate(on)
  float piece[PIECE];
  for (size_t r = 0; r < rows; r++) {
    const float *restrict from = x + r * channels;
    double sum = 0, squares = 0;
    for (size_t c = 0; c < channels; c++) sum += from[c];
    double mean = sum / (double)channels;
    for (size_t c = 0; c < channels; c++) {
      double deviation = from[c] - mean;
      squares += deviation * deviation;
    }
    float factor = (float)(1.0 / sqrt(squares / (double)channels + (double)epsilon));
    float center = (float)mean;
    for (size_t first = 0; first < channels; first += PIECE) {
      size_t count = channels - first < PIECE ? channels - first : PIECE;
      for (size_t i = 0; i < count; i++) {
        size_t c = first + i;
        piece[i] = (from[c] - center) * factor * weight[c] + bias[c];
      }
      store_piece(piece, y, rounds, r * channels + first, count);
    }
  }
}
