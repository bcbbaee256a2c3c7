#pragma once
// What the kernels share: dispatch by vector width, and exp and erfc that vectorise.
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERNEL
#endif
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

/// e^x, relative error below 2e-7; 0 below -86.6 (where the result would leave the normal numbers), infinity above 88.7.
/// x = n ln 2 + r, |r| <= ln 2 / 2; e^r by its Taylor series, 2^n through the exponent bits.
INLINE float kernel_exp(float x) {
  // The comparisons are such that not-a-number passes them.
  float clamped = x > 89.0f ? 89.0f : x;
  clamped = clamped < -86.6f ? -86.6f : clamped;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const float shifter = 12582912.0f;
  float shifted = clamped * 1.44269504f + shifter;
  float n = shifted - shifter;
  float r = clamped - n * 0.693145752f;
  r -= n * 1.42860677e-6f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // 2^(n-1) and a doubling, since 2^128 does not fit.
  float power = float_of_bits((bits_of_float(shifted) + 126u) << 23);
  float result = (p + p) * power;
  return x < -86.6f ? 0.0f : result;
}

INLINE float kernel_sigmoid(float x) { return 1.0f / (1.0f + kernel_exp(-x)); }

/// The complementary error function for z >= 0, relative error below 3e-7 while z < 2 and growing as z^2 does (the exponent's
/// rounding). Chebyshev fit of Press et al., Numerical Recipes, 6.2 ("erfcc").
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
