// 16-bit floats, by their bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace emulator {

inline float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float from_bfloat16(uint16_t bits) { return from_bits(static_cast<uint32_t>(bits) << 16); }
inline uint16_t to_bfloat16(float value) {
  const uint32_t bits = to_bits(value);
  if (value != value) return 0x7fff;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// By a table: without an instruction for it, the conversion takes most of a test's time.
inline const float (&half_table())[1 << 16] {
  static const auto* const table = [] {
    static float values[1 << 16];
    for (uint32_t i = 0; i < 1 << 16; ++i) {
      const auto bits = static_cast<uint16_t>(i);
      _Float16 half;
      std::memcpy(&half, &bits, 2);
      values[i] = static_cast<float>(half);
    }
    return &values;
  }();
  return *table;
}
inline float from_half(uint16_t bits) { return half_table()[bits]; }
inline uint16_t to_half(float value) {
  const _Float16 half = static_cast<_Float16>(value);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}

}  // namespace emulator
