#include "CKernels.h"
#include "Vector.h"

KERNEL void kernel_swish(const float *x, float scale, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * kernel_sigmoid(scale * x[i]);
}

KERNEL void kernel_gelu(const float *x, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = kernel_gelu_value(x[i]);
}

KERNEL void kernel_geglu(const float *x, float *y, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; r++) {
    const float *restrict value = x + r * 2 * channels, *restrict gate = value + channels;
    float *restrict out = y + r * channels;
    for (size_t c = 0; c < channels; c++) out[c] = value[c] * kernel_gelu_value(gate[c]);
  }
}
