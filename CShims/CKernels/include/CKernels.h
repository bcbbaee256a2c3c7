#pragma once
// The inner loops of the operators, over contiguous float rows. Each runs on the calling thread alone; Swift shares
// the rows out (`kernel_parallel`). Compiled for several vector widths and chosen when the library is loaded. Inputs
// and outputs of one call do not overlap unless stated. Not-a-number and infinity go in and come out as IEEE
// arithmetic has them.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Threads.c ---------------------------------------------------------------------------------------------------------

/// Calls body(context, item, worker) for every item in 0 ..< items on at most `threads` threads of libgomp's pool,
/// the one that oneDNN uses. Items are handed out as workers come free; 0 <= worker < threads.
void kernel_parallel(ptrdiff_t items, int threads, void (*body)(void *, ptrdiff_t, int), void *context);
/// The CPUs that this process may run on, at least 1.
int kernel_available_cpus(void);
/// The number of threads that libgomp gives to the calling thread's parallel loops.
int kernel_thread_count(void);
void kernel_set_thread_count(int threads);
/// Whether the system lets this process start so many threads more. It starts and ends them to find out.
bool kernel_can_start(int threads);

// Conversion.c: the source needs no alignment -----------------------------------------------------------------------

/// Whether the processor multiplies bfloat16 (AVX512-BF16).
bool kernel_has_bfloat16(void);
/// To the nearest bfloat16, ties to even.
void kernel_round_bfloat16(const float *source, uint16_t *target, size_t count);
void kernel_convert_float16(const void *source, float *target, size_t count);
void kernel_convert_bfloat16(const void *source, float *target, size_t count);
void kernel_convert_float64(const void *source, float *target, size_t count);
/// The numbers of a format of one byte: each byte's in `numbers`, of 256.
void kernel_convert_bytes(const void *source, const float *numbers, float *target, size_t count);

// Activations.c: in place is allowed --------------------------------------------------------------------------------

/// x * sigmoid(scale * x): SiLU with scale 1, CLIP's "quick GELU" with 1.702.
void kernel_swish(const float *x, float scale, float *y, size_t count);
/// x * Phi(x), Phi by the error function.
void kernel_gelu(const float *x, float *y, size_t count);
/// rows of (value, gate), `channels` each -> value * gelu(gate); not in place. `rounds`: stored as bfloat16.
void kernel_geglu(const float *x, void *y, bool rounds, size_t rows, size_t channels);

// Elementwise.c -----------------------------------------------------------------------------------------------------

/// y = a + b; y may be a.
void kernel_add(const float *a, const float *b, float *y, size_t count);
/// z = a x + b y
void kernel_combine(float a, const float *x, float b, const float *y, float *z, size_t count);
/// y[r] = x[r] + row for every row r; y may be x.
void kernel_add_row(const float *x, const float *row, float *y, size_t rows, size_t channels);
/// Mixes two rows: y = share * y + (1 - share) * x
void kernel_mix(float share, const float *x, float *y, size_t count);

// GroupNorm.c -------------------------------------------------------------------------------------------------------

/// sums[c] = sum over the rows of x[r, c]
void kernel_channel_sums(const float *x, double *sums, size_t rows, size_t channels);
/// sums[c] = sum over the rows of (x[r, c] - means[c])^2
void kernel_channel_squares(const float *x, const double *means, double *sums, size_t rows, size_t channels);
/// y[r, c] = (x[r, c] - means[c]) * scales[c] + shifts[c], then SiLU where asked. `rounds`: stored as bfloat16.
void kernel_channel_affine(
    const float *x, const float *means, const float *scales, const float *shifts, bool silu, void *y, bool rounds,
    size_t rows, size_t channels);

// LayerNorm.c -------------------------------------------------------------------------------------------------------

/// `rounds`: stored as bfloat16.
void kernel_layer_norm(
    const float *x, const float *weight, const float *bias, float epsilon, void *y, bool rounds, size_t rows,
    size_t channels);

// Softmax.c ---------------------------------------------------------------------------------------------------------

/// In place, each row by itself.
void kernel_softmax(float *x, size_t rows, size_t columns);

// Attention.c: one pass of softmax over keys that arrive in pieces (Milakov and Gimelshein 2018, arXiv:1805.02867)

/// Rows of queries that are handled together; buffers have room for a multiple of it.
#define KERNEL_ATTENTION_ROWS 8
/// Keys are packed in panels of this many.
#define KERNEL_ATTENTION_COLUMNS 32

typedef struct {
  size_t rows, columns, channels;
  size_t channel_stride;  // of values and accumulators: channels rounded up to a multiple of 16
  float scale;
  /// Row r sees the columns before `diagonal` + r.
  ptrdiff_t diagonal;
  const float *queries, *keys, *values;  // packed
  float *logits;                         // room for (KERNEL_ATTENTION_ROWS, columns rounded up to a panel + 16)
  float *maxima, *sums;                  // a number per row, at first -infinity and 0
  float *accumulators;                   // (rows, channel_stride), at first 0; divided by the sums they are the result
} kernel_attention;

/// Queries meet a piece of the keys and values; maxima, sums and accumulators are brought up to date.
void kernel_attend(const kernel_attention *attention);
/// A row of queries. Those of KERNEL_ATTENTION_ROWS rows lie interleaved: row r begins at
/// packed + r / KERNEL_ATTENTION_ROWS * KERNEL_ATTENTION_ROWS * channels + r % KERNEL_ATTENTION_ROWS.
void kernel_pack_query(const float *query, size_t channels, float *packed);
/// Keys (columns, channels), `stride` floats apart -> panels of (channels, KERNEL_ATTENTION_COLUMNS), filled up with
/// zeros.
void kernel_pack_keys(const float *keys, size_t stride, size_t columns, size_t channels, float *packed);
/// Values (columns, channels), `stride` floats apart -> (columns rounded up to a panel, channel_stride), filled up
/// with zeros.
void kernel_pack_values(
    const float *values, size_t stride, size_t columns, size_t channels, size_t channel_stride, float *packed);

// AttentionBFloat16.c: the same with factors rounded to bfloat16, on processors with kernel_has_bfloat16(). Two of them
// lie in the room of a float, so queries, keys and values take half of theirs. All may be rounded already.

void kernel_attend_bfloat16(const kernel_attention *attention);
/// As kernel_pack_query, of (channels + 1) / 2 pairs for `channels`.
void kernel_pack_query_bfloat16(const void *query, bool is_rounded, size_t channels, float *packed);
/// As kernel_pack_keys, of (channels + 1) / 2 pairs for `channels`; `stride` in numbers.
void kernel_pack_keys_bfloat16(
    const void *keys, bool is_rounded, size_t stride, size_t columns, size_t channels, float *packed);
/// As kernel_pack_values, of half as many rows, each of the pairs of two.
void kernel_pack_values_bfloat16(
    const void *values, bool is_rounded, size_t stride, size_t columns, size_t channels, size_t channel_stride,
    float *packed);

/// y = x * factor
void kernel_scale(const float *x, float factor, float *y, size_t count);

// Im2col.c ----------------------------------------------------------------------------------------------------------

typedef struct {
  ptrdiff_t rows, columns, channels;  // of the image
  ptrdiff_t kernel_rows, kernel_columns;
  ptrdiff_t stride, top, left;
  ptrdiff_t output_rows, output_columns;
} kernel_window;

/// The windows of the output positions first ..< first + count (counted through all images, row-major), one row of
/// kernel_rows * kernel_columns * channels each; zeros outside the image.
void kernel_im2col(const float *images, const kernel_window *window, ptrdiff_t first, ptrdiff_t count, float *matrix);

// Layout.c ----------------------------------------------------------------------------------------------------------

/// (outer, inner, length) of a (inner, outer, length) source: y[i, j] = x[j, i] for i in first ..< first + count.
void kernel_swap(const float *x, float *y, size_t outer, size_t inner, size_t length, size_t first, size_t count);
/// (rows, columns) -> (columns, rows)
void kernel_transpose(const float *x, float *y, size_t rows, size_t columns);
/// One row of pixels: y[column] = x[sources[column]], `channels` floats each.
void kernel_gather_pixels(const float *x, const int32_t *sources, float *y, size_t columns, size_t channels);
/// One row of pixels: y[2 * column] = x[column], `channels` floats each; the pixels in between stay.
void kernel_spread_pixels(const float *x, float *y, size_t columns, size_t channels);

// Digest.c ----------------------------------------------------------------------------------------------------------

/// XXH3, 128 bits (https://xxhash.com), of bytes that come in parts. NULL where there is no memory.
typedef struct kernel_digest kernel_digest;
kernel_digest *kernel_digest_create(void);
void kernel_digest_add(kernel_digest *digest, const void *bytes, size_t count);
/// Of what was added so far, most significant byte first.
void kernel_digest_finish(const kernel_digest *digest, uint8_t result[16]);
void kernel_digest_free(kernel_digest *digest);
