#include "CKernels.h"
#include "Vector.h"

KERNEL void kernel_swish(const float *x, float scale, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * kernel_sigmoid(scale * x[i]);
}

KERNEL void kernel_gelu(const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = kernel_gelu_value(x[i]);
}

KERNEL void kernel_geglu(const float *x, void *y, bool rounds, size_t rows, size_t channels) {
  float piece[PIECE];
  for (size_t r = 0; r < rows; r++) {
    const float *value = x + r * 2 * channels, *gate = value + channels;
    for (size_t first = 0; first < channels; first += PIECE) {
      size_t count = channels - first < PIECE ? channels - first : PIECE;
      for (size_t c = 0; c < count; c++) piece[c] = value[first + c] * kernel_gelu_value(gate[first + c]);
      store_piece(piece, y, rounds, r * channels + first, count);
    }
  }
}
