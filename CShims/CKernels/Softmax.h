#pragma once
// The two loops that both forms of softmax are made of.
#include "Vector.h"

#define LANES 32

/// The largest entry; entries that are not a number are passed over, and show in the exponentials.
INLINE float row_maximum(const float *row, size_t columns) {
  float lanes[LANES];
  for (size_t l = 0; l < LANES; l++) lanes[l] = -INFINITY;
  size_t c = 0;
  for (; c + LANES <= columns; c += LANES)
    for (size_t l = 0; l < LANES; l++) lanes[l] = row[c + l] > lanes[l] ? row[c + l] : lanes[l];
  float maximum = -INFINITY;
  for (; c < columns; c++) maximum = row[c] > maximum ? row[c] : maximum;
  for (size_t l = 0; l < LANES; l++) maximum = lanes[l] > maximum ? lanes[l] : maximum;
  return maximum;
}

/// row = e^(row - maximum); returns their sum, taken in a fixed order.
INLINE float exponentials(float *row, size_t columns, float maximum) {
  float lanes[LANES];
  for (size_t l = 0; l < LANES; l++) lanes[l] = 0;
  size_t c = 0;
  for (; c + LANES <= columns; c += LANES)
    for (size_t l = 0; l < LANES; l++) {
      row[c + l] = kernel_exp_negative(row[c + l] - maximum);
      lanes[l] += row[c + l];
    }
  float sum = 0;
  for (; c < columns; c++) {
    row[c] = kernel_exp_negative(row[c] - maximum);
    sum += row[c];
  }
  for (size_t step = LANES / 2; step > 0; step /= 2)
    for (size_t l = 0; l < step; l++) lanes[l] += lanes[l + step];
  return sum + lanes[0];
}

/// Where the softmax of one row stands: the largest logit so far, the sum of the exponentials, and their products with
/// the values.
typedef struct {
  float *maximum, *sum, *accumulators;
} softmax_state;

/// A row's next logits, of which the first `visible` are seen and `columns` have room, become exponentials; the state is
/// brought up to date.
INLINE void meet_logits(float *row, size_t columns, ptrdiff_t visible, softmax_state state, size_t channels) {
  for (size_t c = visible < 0 ? 0 : (size_t)visible; c < columns; c++) row[c] = -INFINITY;
  float largest = row_maximum(row, columns);
  if (largest > *state.maximum) {
    float factor = kernel_exp_negative(*state.maximum - largest);
    for (size_t c = 0; c < channels; c++) state.accumulators[c] *= factor;
    *state.sum *= factor;
    *state.maximum = largest;
  }
  *state.sum += exponentials(row, columns, *state.maximum);
}
