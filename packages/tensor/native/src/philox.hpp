// Random numbers that any device can repeat bit for bit.
//
// Generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011). The key
// is the seed (k0 its low, k1 its high 32 bits). Element e = offset + i of a stream takes word e mod 4 of the block whose
// counter is (c0, c1, c2, c3) = (low, high 32 bits of e / 4, 0, 0).
//
// Uniform: x * 2^-32 for a word x, exact in float64, then low + (high - low) * u: two roundings in float64, rounded to
// the element type and clamped into [low, high).
//
// Normal: Box-Muller in float32 on the words (x0, x1) for elements 0 and 1 of a block, (x2, x3) for 2 and 3:
//   u     = f(x0) * 2^-32 + 2^-33, f rounding to nearest even; u in [2^-33, 1]
//   r     = sqrt(-2 ln u)
//   angle = x1 / 2^32 turns; the elements are r cos(angle), r sin(angle)
// with ln and the sine and cosine as below. Only +, -, *, /, sqrt and int-to-float conversion are used, each rounded to
// nearest even in float32 and in the order written, never fused into FMA (CUDA: __fadd_rn, __fmul_rn, __fdiv_rn,
// __fsqrt_rn).
#ifndef MAGI_TENSOR_PHILOX_HPP
#define MAGI_TENSOR_PHILOX_HPP

#include <magi/float16.hpp>

#include <math.h>

#include <cstdint>

namespace magi {
namespace {

struct PhiloxBlock {
  uint32_t x[4];
};

MAGI_HOST_DEVICE inline PhiloxBlock philox4x32_10(uint64_t seed, uint64_t block) {
  uint32_t c0 = static_cast<uint32_t>(block);
  uint32_t c1 = static_cast<uint32_t>(block >> 32);
  uint32_t c2 = 0;
  uint32_t c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed);
  uint32_t k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// -2 ln(u) for a normal u in (0, 1].
MAGI_HOST_DEVICE inline float minus_two_log(float u) {
  // u = m * 2^e with m in [sqrt(1/2), sqrt(2)): 0x3f3504f3 are the bits of sqrt(1/2).
  const uint32_t bits = float_bits(u);
  const int32_t e = static_cast<int32_t>(bits - 0x3f3504f3u) >> 23;
  const float m = float_from_bits(bits - (static_cast<uint32_t>(e) << 23));
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172: the series up to s^9 is exact to 2e-9.
  const float s = (m - 1.0f) / (m + 1.0f);
  const float s2 = s * s;
  float series = s2 * 0x1.c71c72p-4f + 0x1.24924ap-3f;  // 1/9, 1/7
  series = s2 * series + 0x1.99999ap-3f;                // 1/5
  series = s2 * series + 0x1.555556p-2f;                // 1/3
  const float log_m = 2.0f * s + 2.0f * s * (s2 * series);
  // ln 2 = 0x1.62e4p-1 + 0x1.7f7d1cp-20; the first part times e is exact.
  const float exponent = static_cast<float>(e);
  return -2.0f * (exponent * 0x1.62e4p-1f + (exponent * 0x1.7f7d1cp-20f + log_m));
}

struct SineCosine {
  float sine;
  float cosine;
};

// The sine and cosine of x / 2^32 turns.
MAGI_HOST_DEVICE inline SineCosine sine_cosine_turns(uint32_t x) {
  // The nearest quarter turn, and the rest in [-1/8, 1/8) turns, exact as an integer.
  const uint32_t quarter = (x + 0x20000000u) >> 30;
  const int32_t rest = static_cast<int32_t>(x - (quarter << 30));
  const float t = static_cast<float>(rest) * 0x1.921fb6p-30f;  // 2 pi / 2^32
  const float t2 = t * t;
  float sine = t2 * 0x1.71de3ap-19f - 0x1.a01a02p-13f;  // 1/9!, 1/7!
  sine = t2 * sine + 0x1.111112p-7f;                    // 1/5!
  sine = t2 * sine - 0x1.555556p-3f;                    // 1/3!
  sine = t + t * (t2 * sine);
  float cosine = 0x1.a01a02p-16f - t2 * 0x1.27e4fcp-22f;  // 1/8!, 1/10!
  cosine = t2 * cosine - 0x1.6c16c2p-10f;                 // 1/6!
  cosine = t2 * cosine + 0x1.555556p-5f;                  // 1/4!
  cosine = (1.0f - 0.5f * t2) + (t2 * t2) * cosine;
  // Each quarter turn sends (cosine, sine) to (-sine, cosine).
  const bool swap = (quarter & 1u) != 0;
  const uint32_t cosine_sign = ((quarter + 1u) & 2u) << 30;
  const uint32_t sine_sign = (quarter & 2u) << 30;
  return {float_from_bits(float_bits(swap ? cosine : sine) ^ sine_sign),
          float_from_bits(float_bits(swap ? sine : cosine) ^ cosine_sign)};
}

MAGI_HOST_DEVICE inline void box_muller(uint32_t radius_word, uint32_t angle_word, float* first, float* second) {
  const float u = static_cast<float>(radius_word) * 0x1p-32f + 0x1p-33f;
  const float radius = sqrtf(minus_two_log(u));
  const SineCosine direction = sine_cosine_turns(angle_word);
  *first = radius * direction.cosine;
  *second = radius * direction.sine;
}

}  // namespace
}  // namespace magi

#endif
