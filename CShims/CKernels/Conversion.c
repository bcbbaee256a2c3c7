#include "CKernels.h"
#include "Vector.h"

typedef struct __attribute__((packed)) {
  uint16_t bits;
} unaligned_half;

/// IEEE binary16 in integer arithmetic, so that it vectorises everywhere: shift exponent and fraction into place, then
/// correct the bias by a multiplication, which also brings the subnormal numbers out right.
KERNEL void kernel_convert_float16(const void *source, float *target, size_t count) {
  const unaligned_half *half = source;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = half[i].bits;
    uint32_t magnitude = (bits & 0x7fffu) << 13;
    float value = float_of_bits(magnitude) * 0x1p112f;
    uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
    target[i] = float_of_bits(bits_of_float(value) | special | (bits & 0x8000u) << 16);
  }
}

KERNEL void kernel_convert_bfloat16(const void *source, float *target, size_t count) {
  const unaligned_half *half = source;
  for (size_t i = 0; i < count; i++) target[i] = float_of_bits((uint32_t)half[i].bits << 16);
}

typedef struct __attribute__((packed)) {
  double value;
} unaligned_double;

KERNEL void kernel_convert_float64(const void *source, float *target, size_t count) {
  const unaligned_double *number = source;
  for (size_t i = 0; i < count; i++) target[i] = (float)number[i].value;
}

void kernel_convert_bytes(const void *source, const float *numbers, float *target, size_t count) {
  const uint8_t *byte = source;
  for (size_t i = 0; i < count; i++) target[i] = numbers[byte[i]];
}

bool kernel_has_bfloat16(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

KERNEL void kernel_round_bfloat16(const float *source, uint16_t *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] = bfloat16_of_float(source[i]);
}
