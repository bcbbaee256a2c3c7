#include "CKernels.h"
#include <string.h>

void kernel_swap(const float *x, float *y, size_t outer, size_t inner, size_t length, size_t first, size_t count) {
  for (size_t i = first; i < first + count; i++)
    for (size_t j = 0; j < inner; j++)
      memcpy(y + (i * inner + j) * length, x + (j * outer + i) * length, length * sizeof(float));
}

void kernel_gather_pixels(const float *x, const int32_t *sources, float *y, size_t columns, size_t channels) {
  for (size_t column = 0; column < columns; column++)
    memcpy(y + column * channels, x + (size_t)sources[column] * channels, channels * sizeof(float));
}

void kernel_transpose(const float *x, float *y, size_t rows, size_t columns) {
  for (size_t column = 0; column < columns; column++)
    for (size_t row = 0; row < rows; row++) y[column * rows + row] = x[row * columns + column];
}

void kernel_spread_pixels(const float *x, float *y, size_t columns, size_t channels) {
  for (size_t column = 0; column < columns; column++)
    memcpy(y + 2 * column * channels, x + column * channels, channels * sizeof(float));
}
