#include "CKernels.h"
#include "Vector.h"

KERNEL void kernel_add(const float *a, const float *b, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

KERNEL void kernel_combine(float a, const float *x, float b, const float *y, float *z, size_t count) {
  for (size_t i = 0; i < count; i++) z[i] = a * x[i] + b * y[i];
}

KERNEL void kernel_add_row(const float *x, const float *row, float *y, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++) {
    const float *from = x + r * channels;
    float *to = y + r * channels;
    for (size_t c = 0; c < channels; c++) to[c] = from[c] + row[c];
  }
}

KERNEL void kernel_mix(float share, const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = share * y[i] + (1.0f - share) * x[i];
}
