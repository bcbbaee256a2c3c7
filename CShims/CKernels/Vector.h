#pragma once
// What the kernels share: dispatch by vector width, and exp and erfc that vectorise.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif

// ThreadSanitizer instruments the resolvers as well, which run before it does.
#if defined(__x86_64__) && !__has_feature(thread_sanitizer)
#define CLONES(...) __attribute__((target_clones(__VA_ARGS__)))
#else
#define CLONES(...)
#endif
#define KERNEL CLONES("arch=x86-64-v4", "arch=x86-64-v3", "default")
#define INLINE static inline __attribute__((always_inline))

INLINE float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

INLINE uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// To the nearest bfloat16, ties to even. What is not a number stays so, whichever bits are cut off.
INLINE uint16_t bfloat16_of_float(float value) {
  uint32_t bits = bits_of_float(value);
  uint32_t quiet = (bits >> 16) | 0x40u, rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

/// Numbers that a kernel computes before it stores them.
#define PIECE 64

/// Stores numbers from `first` on, rounded to bfloat16 where asked.
INLINE void store_piece(const float *numbers, void *target, bool rounds, size_t first, size_t count) {
  if (rounds) {
    uint16_t *to = (uint16_t *)target + first;
    for (size_t i = 0; i < count; i++) to[i] = bfloat16_of_float(numbers[i]);
  } else {
    memcpy((float *)target + first, numbers, count * sizeof *numbers);
  }
}

/// e^x / 2^halvings for x <= 89 and x - halvings * ln 2 <= 88; 0 below -86.6, where e^x leaves the normal numbers.
/// With x = n ln 2 + r, |r| <= ln 2 / 2: e^r by a polynomial (minimax on that range, relative error 2e-9 before
/// rounding), 2^n through the exponent bits.
INLINE float exp_scaled(float x, int halvings) {
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits, here with the exponent's bias on top.
  const float shifter = 12582912.0f + 127.0f - (float)halvings;
  float shifted = x * 1.44269504f + shifter;
  float n = shifted - shifter;
  float r = x - n * 0.693145752f;
  r -= n * 1.42860677e-6f;
  float p = 0.00138436444f;
  p = p * r + 0.00837416388f;
  p = p * r + 0.0416680016f;
  p = p * r + 0.166664317f;
  p = p * r + 0.49999994f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  float result = p * float_of_bits(bits_of_float(shifted) << 23);
  return x < -86.6f ? 0.0f : result;  // so that not-a-number stays
}

/// e^x, relative error below 2e-7; 0 below -86.6, infinity above 88.7.
INLINE float kernel_exp(float x) {
  float halved = exp_scaled(x > 89.0f ? 89.0f : x, 1);
  return halved + halved;
}

/// e^x for x <= 0, the same but for the range.
INLINE float kernel_exp_negative(float x) { return exp_scaled(x, 0); }

INLINE float kernel_sigmoid(float x) { return 1.0f / (1.0f + kernel_exp(-x)); }

/// The complementary error function for z >= 0, relative error below 3e-7 while z < 2 and growing as z^2 does (the
/// exponent's rounding). Chebyshev fit of Press et al., Numerical Recipes, 6.2 ("erfcc").
INLINE float kernel_erfc(float z) {
  float t = 1.0f / (1.0f + 0.5f * z);
  float p = 0.17087277f;
  p = p * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  p = p * t - 1.26551223f;
  return t * kernel_exp(p - z * z);
}

/// x * Phi(x) without cancellation on either side.
INLINE float kernel_gelu_value(float x) {
  float tail = 0.5f * kernel_erfc(fabsf(x) * 0.707106781f);
  return x * (x < 0.0f ? tail : 1.0f - tail);
}
