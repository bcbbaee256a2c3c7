#include "CKernels.h"
#include "Softmax.h"

// Tiles of rows x columns are held in registers while the loops run over the depth. Wide vectors have 32 registers,
// narrow ones 16, and half as many numbers in each.
typedef float lanes16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float lanes8 __attribute__((vector_size(32), aligned(4), may_alias));
#define BLOCK_ROWS KERNEL_ATTENTION_ROWS
#define PANEL KERNEL_ATTENTION_COLUMNS

INLINE size_t padded(size_t columns) { return (columns + PANEL - 1) / PANEL * PANEL; }

/// logits (rows, PANEL) = scale * queries (channels, BLOCK_ROWS) times one panel of packed keys.
INLINE void logits_of_panel(
    const int rows, const float *queries, const float *keys, size_t channels, float scale, float *logits,
    size_t logit_stride) {
  lanes16 sums[BLOCK_ROWS][2] = {0};
  for (size_t t = 0; t < channels; t++) {
    lanes16 left = *(const lanes16 *)keys, right = *(const lanes16 *)(keys + 16);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      sums[r][0] += queries[r] * left;
      sums[r][1] += queries[r] * right;
    }
    keys += PANEL;
    queries += BLOCK_ROWS;
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
    *(lanes16 *)(logits + (size_t)r * logit_stride) = sums[r][0] * scale;
    *(lanes16 *)(logits + (size_t)r * logit_stride + 16) = sums[r][1] * scale;
  }
}

/// accumulators (rows, `vectors` vectors) += exponentials (rows, columns) times values.
#define ACCUMULATE(name, lanes, vectors) \
  INLINE void name( \
      const int rows, const float *exponentials, size_t stride, const float *values, size_t columns, \
      size_t channel_stride, float *accumulators) { \
    lanes sums[BLOCK_ROWS][vectors]; \
    _Pragma("unroll") for (int r = 0; r < rows; r++) _Pragma("unroll") for (int v = 0; v < vectors; v++) sums[r][v] = \
        ((const lanes *)(accumulators + (size_t)r * channel_stride))[v]; \
    for (size_t c = 0; c < columns; c++) { \
      const lanes *value = (const lanes *)(values + c * channel_stride); \
      _Pragma("unroll") for (int r = 0; r < rows; r++) _Pragma("unroll") for (int v = 0; v < vectors; v++) \
          sums[r][v] += exponentials[(size_t)r * stride + c] * value[v]; \
    } \
    _Pragma("unroll") for (int r = 0; r < rows; r++) \
        _Pragma("unroll") for (int v = 0; v < vectors; v++)((lanes *)(accumulators + (size_t)r * channel_stride))[v] = \
            sums[r][v]; \
  }

ACCUMULATE(accumulate32, lanes16, 2)
ACCUMULATE(accumulate16, lanes16, 1)
ACCUMULATE(accumulate8, lanes8, 1)

/// `rows` rows of a block, starting at its row `first`, meet the piece of keys.
INLINE void attend_rows(const int rows, const kernel_attention *a, size_t first) {
  // The stride is off the powers of two, at which rows fall into the same lines of the cache.
  size_t columns = padded(a->columns), stride = columns + 16;
  float *logits = a->logits;
  const float *queries = a->queries + first / BLOCK_ROWS * BLOCK_ROWS * a->channels + first % BLOCK_ROWS;
  for (size_t c = 0; c < columns; c += PANEL)
    logits_of_panel(rows, queries, a->keys + c * a->channels, a->channels, a->scale, logits + c, stride);

  float *accumulators = a->accumulators + first * a->channel_stride;
  for (int r = 0; r < rows && first + (size_t)r < a->rows; r++) {
    ptrdiff_t visible = a->diagonal + (ptrdiff_t)first + r;
    if (visible > (ptrdiff_t)a->columns) visible = (ptrdiff_t)a->columns;
    softmax_state state = {a->maxima + first + r, a->sums + first + r, accumulators + (size_t)r * a->channel_stride};
    meet_logits(logits + (size_t)r * stride, columns, visible, state, a->channel_stride);
  }

  size_t c = 0;
  for (; c + 24 < a->channels; c += 32)
    accumulate32(rows, logits, stride, a->values + c, columns, a->channel_stride, accumulators + c);
  for (; c + 8 < a->channels; c += 16)
    accumulate16(rows, logits, stride, a->values + c, columns, a->channel_stride, accumulators + c);
  if (c < a->channels) accumulate8(rows, logits, stride, a->values + c, columns, a->channel_stride, accumulators + c);
}

#if defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"), min_vector_width(512))) static void attend_wide(const kernel_attention *a) {
  for (size_t first = 0; first < a->rows; first += 8) attend_rows(8, a, first);
}
#endif

CLONES("arch=x86-64-v3", "default")
static void attend_narrow(const kernel_attention *a) {
  for (size_t first = 0; first < a->rows; first += 2) attend_rows(2, a, first);
}

void kernel_attend(const kernel_attention *attention) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) {
    attend_wide(attention);
    return;
  }
#endif
  attend_narrow(attention);
}

KERNEL void kernel_pack_query(const float *query, size_t channels, float *packed) {
  for (size_t t = 0; t < channels; t++) packed[t * BLOCK_ROWS] = query[t];
}

/// (8, 8) -> its transpose.
INLINE void transpose8(const float *x, size_t stride, float *y, size_t result_stride) {
  lanes8 rows[8], pairs[8], fours[8];
#pragma unroll
  for (int i = 0; i < 8; i++) rows[i] = *(const lanes8 *)(x + (size_t)i * stride);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    pairs[2 * i] = __builtin_shufflevector(rows[2 * i], rows[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[2 * i + 1] = __builtin_shufflevector(rows[2 * i], rows[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma unroll
  for (int i = 0; i < 8; i += 4) {
    fours[i] = __builtin_shufflevector(pairs[i], pairs[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    fours[i + 1] = __builtin_shufflevector(pairs[i], pairs[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    fours[i + 2] = __builtin_shufflevector(pairs[i + 1], pairs[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    fours[i + 3] = __builtin_shufflevector(pairs[i + 1], pairs[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    *(lanes8 *)(y + (size_t)i * result_stride) =
        __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(lanes8 *)(y + (size_t)(i + 4) * result_stride) =
        __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

KERNEL void kernel_pack_keys(const float *keys, size_t stride, size_t columns, size_t channels, float *packed) {
  for (size_t first = 0; first < columns; first += PANEL) {
    for (size_t l = 0; l < PANEL; l += 8) {
      const float *from = keys + (first + l) * stride;
      float *to = packed + l;
      // Rows lie far apart, where the processor does not look ahead by itself.
      if (first + l + PANEL + 8 <= columns)
        for (size_t k = 0; k < 8; k++)
          for (size_t t = 0; t < channels; t += 16) __builtin_prefetch(from + (PANEL + k) * stride + t);
      size_t used = first + l >= columns ? 0 : columns - first - l < 8 ? columns - first - l : 8, t = 0;
      if (used == 8)
        for (; t + 8 <= channels; t += 8) transpose8(from + t, stride, to + t * PANEL, PANEL);
      for (; t < channels; t++) {
        for (size_t k = 0; k < used; k++) to[t * PANEL + k] = from[k * stride + t];
        for (size_t k = used; k < 8; k++) to[t * PANEL + k] = 0;
      }
    }
    packed += PANEL * channels;
  }
}

KERNEL void kernel_pack_values(
    const float *values, size_t stride, size_t columns, size_t channels, size_t channel_stride, float *packed) {
  for (size_t c = 0; c < padded(columns); c++) {
    size_t used = c < columns ? channels : 0;
    for (size_t t = 0; t < used; t++) packed[t] = values[c * stride + t];
    for (size_t t = used; t < channel_stride; t++) packed[t] = 0;
    packed += channel_stride;
  }
}

KERNEL void kernel_scale(const float *x, float factor, float *y, size_t count) {
  for (size_t i = 0; i < count; i++) y[i] = x[i] * factor;
}
