#include "CKernels.h"
#include "Softmax.h"

KERNEL void kernel_softmax_piece(
    float *logits, size_t rows, size_t columns, size_t logit_stride, float *maxima, float *sums, float *accumulators,
    size_t channels, size_t accumulator_stride) {
  for (size_t r = 0; r < rows; r++) {
    float *row = logits + r * logit_stride;
    float maximum = row_maximum(row, columns);
    if (maximum > maxima[r]) {
      float factor = kernel_exp(maxima[r] - maximum);
      float *accumulator = accumulators + r * accumulator_stride;
      for (size_t c = 0; c < channels; c++) accumulator[c] *= factor;
      sums[r] *= factor;
      maxima[r] = maximum;
    }
    sums[r] += exponentials(row, columns, maxima[r]);
  }
}

KERNEL void kernel_mask_causal(
    float *logits, size_t rows, size_t columns, size_t logit_stride, size_t first_row, size_t first_column) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++)
      if (first_column + c > first_row + r) logits[r * logit_stride + c] = -INFINITY;
}

KERNEL void kernel_scale(const float *x, float factor, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * factor;
}
