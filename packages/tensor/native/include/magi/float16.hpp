// bfloat16 and float16 (IEEE binary16) to and from float32, in software: round to nearest even, NaN made quiet with a
// payload that stays nonzero, infinities and subnormals exact. 16-bit values are passed as their bits.
//
// Branch-free on purpose, so that compilers turn loops over them into vector code. All functions have internal linkage:
// units compiled for different instruction sets each keep their own.
#ifndef MAGI_FLOAT16_HPP
#define MAGI_FLOAT16_HPP

#include <cstdint>

// For functions that CUDA code calls on the GPU as well.
#if defined(__CUDACC__)
#define MAGI_HOST_DEVICE __host__ __device__
#else
#define MAGI_HOST_DEVICE
#endif

namespace magi {

MAGI_HOST_DEVICE static inline constexpr uint32_t float_bits(float value) { return __builtin_bit_cast(uint32_t, value); }
MAGI_HOST_DEVICE static inline constexpr float float_from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }

MAGI_HOST_DEVICE static inline constexpr float bf16_to_f32(uint16_t bits) {
  return float_from_bits(static_cast<uint32_t>(bits) << 16);
}

MAGI_HOST_DEVICE static inline constexpr uint16_t f32_to_bf16(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const uint32_t quiet_nan = bits >> 16 | 0x0040u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

MAGI_HOST_DEVICE static inline constexpr float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  const uint32_t shifted = magnitude << 13;
  // A subnormal is a whole number of 2^-24, exact as a normal float32.
  const uint32_t subnormal = float_bits(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t normal = shifted + (112u << 23);
  const uint32_t quiet = magnitude > 0x7c00u ? 0x00400000u : 0u;
  const uint32_t special = shifted | 0x7f800000u | quiet;
  return float_from_bits(sign | (magnitude >= 0x7c00u ? special : magnitude >= 0x0400u ? normal : subnormal));
}

MAGI_HOST_DEVICE static inline constexpr uint16_t f32_to_f16(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  // Next to 0.5 the spacing of float32 is 2^-24, that of float16's subnormals: the addition rounds.
  const uint32_t subnormal =
      float_bits(float_from_bits(magnitude < 0x38800000u ? magnitude : 0u) + 0.5f) - float_bits(0.5f);
  const uint32_t normal = (magnitude + 0x0fffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
  const uint32_t quiet_nan = (magnitude >> 13 & 0x03ffu) | 0x7e00u;
  const uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
  const uint32_t large = magnitude > 0x7f800000u ? quiet_nan : 0x7c00u;
  return static_cast<uint16_t>(sign | (magnitude >= 0x477ff000u ? large : finite));  // from 65520 on: infinity
}

}  // namespace magi

#endif
