#include "CKernels.h"
#include "Softmax.h"

// As in Attention.c, with factors in pairs of bfloat16: the processor multiplies two of each and adds both products to a
// float. Queries and keys are paired along the channels, exponentials and values along the keys.
#define ROWS KERNEL_ATTENTION_ROWS
#define PANEL KERNEL_ATTENTION_COLUMNS

INLINE size_t pairs_of(size_t count) { return (count + 1) / 2; }
INLINE size_t padded(size_t columns) { return (columns + PANEL - 1) / PANEL * PANEL; }

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("arch=x86-64-v4,avx512bf16"), min_vector_width(512)))
#define WIDE_INLINE WIDE static inline __attribute__((always_inline))

WIDE_INLINE __m512bh wide(const void *words) { return (__m512bh)_mm512_loadu_si512(words); }
WIDE_INLINE __m512bh everywhere(const uint32_t *word) { return (__m512bh)_mm512_set1_epi32((int)*word); }

/// logits (ROWS, PANEL) = scale * queries (pairs, ROWS) times one panel of keys (pairs, PANEL).
WIDE_INLINE void logits_of_panel(
    const uint32_t *queries, const uint32_t *keys, size_t pairs, float scale, float *logits, size_t stride) {
  __m512 sums[ROWS][2];
#pragma unroll
  for (int r = 0; r < ROWS; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (size_t t = 0; t < pairs; t++) {
    __m512bh left = wide(keys), right = wide(keys + 16);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      __m512bh query = everywhere(queries + r);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], query, left);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], query, right);
    }
    keys += PANEL;
    queries += ROWS;
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    _mm512_storeu_ps(logits + (size_t)r * stride, sums[r][0] * scale);
    _mm512_storeu_ps(logits + (size_t)r * stride + 16, sums[r][1] * scale);
  }
}

/// accumulators (ROWS, 16 * vectors + 8 * halves) += exponentials (ROWS, pairs of columns) times values
/// (pairs, channel_stride). `halves` is 0 or 1.
WIDE_INLINE void accumulate(
    const int vectors, const int halves, const uint32_t *exponentials, size_t stride, const uint32_t *values,
    size_t pairs, size_t channel_stride, float *accumulators) {
  __m512 sums[ROWS][2];
  __m256 half_sums[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    float *from = accumulators + (size_t)r * channel_stride;
#pragma unroll
    for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_loadu_ps(from + 16 * v);
    if (halves) half_sums[r] = _mm256_loadu_ps(from + 16 * vectors);
  }
  for (size_t c = 0; c < pairs; c++) {
    const uint32_t *row = values + c * channel_stride;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      __m512bh exponential = everywhere(exponentials + (size_t)r * stride + c);
#pragma unroll
      for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], exponential, wide(row + 16 * v));
      if (halves)
        half_sums[r] = _mm256_dpbf16_ps(
            half_sums[r], (__m256bh)_mm512_castsi512_si256((__m512i)exponential),
            (__m256bh)_mm256_loadu_si256((const void *)(row + 16 * vectors)));
    }
  }
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    float *to = accumulators + (size_t)r * channel_stride;
#pragma unroll
    for (int v = 0; v < vectors; v++) _mm512_storeu_ps(to + 16 * v, sums[r][v]);
    if (halves) _mm256_storeu_ps(to + 16 * vectors, half_sums[r]);
  }
}

/// 2^x for x <= 0 by a polynomial (Chebyshev's interpolation), relative error below 4e-6: a thousandth of what rounding to
/// bfloat16 takes. Below -126 it is 2^-126; not-a-number stays.
WIDE_INLINE __m512 exp2_negative(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-126.0f), x);
  __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), part = x - whole;
  __m512 p = _mm512_set1_ps(0.00966637f);
  p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.05592198f));
  p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.24022349f));
  p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.69312105f));
  p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, whole);
}

/// As meet_logits, of logits in units of ln 2; the exponentials become pairs, in place. `columns` is a multiple of a panel.
WIDE_INLINE void meet_row(float *row, size_t columns, ptrdiff_t visible, softmax_state state, size_t channels) {
  for (size_t c = visible < 0 ? 0 : (size_t)visible; c < columns; c++) row[c] = -INFINITY;
  __m512 left = _mm512_loadu_ps(row), right = _mm512_loadu_ps(row + 16);
  for (size_t c = 32; c < columns; c += 32) {
    // The second operand is returned where one is not a number, which the exponentials show.
    left = _mm512_max_ps(_mm512_loadu_ps(row + c), left);
    right = _mm512_max_ps(_mm512_loadu_ps(row + c + 16), right);
  }
  float largest = _mm512_reduce_max_ps(_mm512_max_ps(left, right));
  if (largest > *state.maximum) {
    float factor = kernel_exp_negative((*state.maximum - largest) * 0.693147181f);
    for (size_t c = 0; c < channels; c++) state.accumulators[c] *= factor;
    *state.sum *= factor;
    *state.maximum = largest;
  }
  __m512 maximum = _mm512_set1_ps(*state.maximum), sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (size_t c = 0; c < columns; c += 32) {
    left = exp2_negative(_mm512_loadu_ps(row + c) - maximum);
    right = exp2_negative(_mm512_loadu_ps(row + c + 16) - maximum);
    sums[0] += left;
    sums[1] += right;
    _mm512_storeu_si512(row + c / 2, (__m512i)_mm512_cvtne2ps_pbh(right, left));
  }
  *state.sum += _mm512_reduce_add_ps(sums[0] + sums[1]);
}

WIDE void kernel_attend_bfloat16(const kernel_attention *a) {
  // The stride is off the powers of two, at which rows fall into the same lines of the cache.
  size_t columns = padded(a->columns), stride = columns + 16, pairs = pairs_of(a->channels);
  const uint32_t *keys = (const uint32_t *)a->keys, *values = (const uint32_t *)a->values;
  float *logits = a->logits, scale = a->scale * 1.44269504f;
  for (size_t first = 0; first < a->rows; first += ROWS) {
    const uint32_t *queries = (const uint32_t *)a->queries + first * pairs;
    for (size_t c = 0; c < columns; c += PANEL)
      logits_of_panel(queries, keys + c * pairs, pairs, scale, logits + c, stride);

    float *accumulators = a->accumulators + first * a->channel_stride;
    for (size_t r = 0; r < ROWS && first + r < a->rows; r++) {
      ptrdiff_t visible = a->diagonal + (ptrdiff_t)(first + r);
      if (visible > (ptrdiff_t)a->columns) visible = (ptrdiff_t)a->columns;
      softmax_state state = {a->maxima + first + r, a->sums + first + r, accumulators + r * a->channel_stride};
      meet_row(logits + r * stride, columns, visible, state, a->channel_stride);
    }

    const uint32_t *exponentials = (const uint32_t *)logits;
    size_t c = 0;
    for (; c + 40 < a->channels; c += 32)
      accumulate(2, 0, exponentials, stride, values + c, columns / 2, a->channel_stride, accumulators + c);
    size_t rest = a->channels - c;
    if (rest > 32)
      accumulate(2, 1, exponentials, stride, values + c, columns / 2, a->channel_stride, accumulators + c);
    else if (rest > 24)
      accumulate(2, 0, exponentials, stride, values + c, columns / 2, a->channel_stride, accumulators + c);
    else if (rest > 16)
      accumulate(1, 1, exponentials, stride, values + c, columns / 2, a->channel_stride, accumulators + c);
    else if (rest > 8)
      accumulate(1, 0, exponentials, stride, values + c, columns / 2, a->channel_stride, accumulators + c);
    else
      accumulate(0, 1, exponentials, stride, values + c, columns / 2, a->channel_stride, accumulators + c);
  }
}
#else
// There is no such device (kernel_has_bfloat16).
void kernel_attend_bfloat16(const kernel_attention *a) { (void)a; }
#endif

// MARK: - Packing

INLINE uint32_t rounded(float value) { return bfloat16_of_float(value); }

/// The `count` numbers of a row from `first` on, which may end the row.
INLINE void pair_up(const void *row, bool is_rounded, size_t first, size_t count, uint32_t *pairs) {
  if (is_rounded) {
    if (count % 2) pairs[count / 2] = 0;
    memcpy(pairs, (const uint16_t *)row + first, 2 * count);
    return;
  }
  const float *numbers = (const float *)row + first;
  for (size_t t = 0; t < count / 2; t++) pairs[t] = rounded(numbers[2 * t]) | rounded(numbers[2 * t + 1]) << 16;
  if (count % 2) pairs[count / 2] = rounded(numbers[count - 1]);
}

/// Pairs of a row that are handled at a time.
#define CHUNK 32

KERNEL void kernel_pack_query_bfloat16(const void *query, bool is_rounded, size_t channels, float *packed) {
  uint32_t *to = (uint32_t *)packed, words[CHUNK];
  for (size_t first = 0; first < channels; first += 2 * CHUNK) {
    size_t count = channels - first < 2 * CHUNK ? channels - first : 2 * CHUNK;
    pair_up(query, is_rounded, first, count, words);
    for (size_t t = 0; t < pairs_of(count); t++) to[(first / 2 + t) * ROWS] = words[t];
  }
}

KERNEL void kernel_pack_keys_bfloat16(
    const void *keys, bool is_rounded, size_t stride, size_t columns, size_t channels, float *packed) {
  size_t size = is_rounded ? 2 : 4, pairs = pairs_of(channels);
  uint32_t *to = (uint32_t *)packed, words[8][CHUNK];
  for (size_t column = 0; column < padded(columns); column += 8) {
    uint32_t *panel = to + column / PANEL * PANEL * pairs + column % PANEL;
    for (size_t first = 0; first < channels; first += 2 * CHUNK) {
      size_t count = channels - first < 2 * CHUNK ? channels - first : 2 * CHUNK;
      for (size_t k = 0; k < 8; k++) {
        const char *row = (const char *)keys + (column + k) * stride * size;
        if (column + k < columns)
          pair_up(row, is_rounded, first, count, words[k]);
        else
          memset(words[k], 0, sizeof words[k]);
      }
      for (size_t t = 0; t < pairs_of(count); t++)
        for (size_t k = 0; k < 8; k++) panel[(first / 2 + t) * PANEL + k] = words[k][t];
    }
  }
}

KERNEL void kernel_pack_values_bfloat16(
    const void *values, bool is_rounded, size_t stride, size_t columns, size_t channels, size_t channel_stride,
    float *packed) {
  uint32_t *to = (uint32_t *)packed;
  for (size_t column = 0; column < padded(columns); column += 2) {
    size_t used = column < columns ? channels : 0;
    bool is_pair = column + 1 < columns;
    if (is_rounded) {
      const uint16_t *upper = (const uint16_t *)values + column * stride, *lower = upper + stride;
      if (is_pair)
        for (size_t t = 0; t < used; t++) to[t] = upper[t] | (uint32_t)lower[t] << 16;
      else
        for (size_t t = 0; t < used; t++) to[t] = upper[t];
    } else {
      const float *upper = (const float *)values + column * stride, *lower = upper + stride;
      if (is_pair)
        for (size_t t = 0; t < used; t++) to[t] = rounded(upper[t]) | rounded(lower[t]) << 16;
      else
        for (size_t t = 0; t < used; t++) to[t] = rounded(upper[t]);
    }
    for (size_t t = used; t < channel_stride; t++) to[t] = 0;
    to += channel_stride;
  }
}
