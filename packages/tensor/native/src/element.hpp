// Element types and the conversions between them. Everything is in an unnamed namespace: units compiled for different
// instruction sets must not share a compiled function.
#ifndef MAGI_TENSOR_ELEMENT_HPP
#define MAGI_TENSOR_ELEMENT_HPP

#include <magi/float16.hpp>

#include <cstdint>
#include <type_traits>

namespace magi {
namespace {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

template <typename T>
constexpr bool kIsHalf = std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>;

// The type in which elements of type T are computed with.
template <typename T>
using Compute = std::conditional_t<kIsHalf<T>, float, T>;

template <typename T>
MAGI_HOST_DEVICE inline Compute<T> load(T value) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return bf16_to_f32(value.bits);
  } else if constexpr (std::is_same_v<T, Float16>) {
    return f16_to_f32(value.bits);
  } else {
    return value;
  }
}

// float64 to float32, where an inexact result gets an odd last bit: rounding it once more, to fewer bits, then gives
// what rounding the float64 directly gives (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums").
MAGI_HOST_DEVICE inline float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  const double back = static_cast<double>(nearest);
  const uint32_t bits = float_bits(nearest);
  const bool inexact = back != value && value == value;
  const bool away = (value < 0 ? -back : back) > (value < 0 ? -value : value);
  // The neighbour towards zero is one less in bits; the odd one of the two neighbours is wanted.
  const uint32_t truncated = bits - (inexact && away ? 1u : 0u);
  return float_from_bits(inexact ? truncated | 1u : bits);
}

// int64 to a float64 that lies on the same side of every value with fewer than 40 significant bits.
MAGI_HOST_DEVICE inline double sticky_double(int64_t value) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const uint64_t sticky = (magnitude & ~uint64_t{0xfff}) | ((magnitude & 0xfff) != 0 ? 0x800u : 0u);
  const uint64_t kept = magnitude >> 53 != 0 ? sticky : magnitude;
  const double result = static_cast<double>(kept);
  return value < 0 ? -result : result;
}

// Floats to integers: towards zero, clamped to the range; NaN gives 0.
template <typename Int, typename Float>
MAGI_HOST_DEVICE inline Int saturate(Float value) {
  constexpr Int lowest = std::is_same_v<Int, int32_t> ? Int(INT32_MIN) : Int(INT64_MIN);
  constexpr Int highest = std::is_same_v<Int, int32_t> ? Int(INT32_MAX) : Int(INT64_MAX);
  constexpr Float limit = -static_cast<Float>(lowest);  // a power of two
  const bool inside = value < limit && value >= -limit;
  const Int whole = static_cast<Int>(inside ? value : Float(0));
  return value >= limit ? highest : value < -limit ? lowest : whole;
}

template <typename Out, typename In>
MAGI_HOST_DEVICE inline Out convert(In in) {
  if constexpr (std::is_same_v<Out, In>) {
    return in;
  } else if constexpr (kIsHalf<Out>) {
    float value;
    if constexpr (std::is_same_v<In, int64_t>) {
      value = round_to_odd(sticky_double(in));
    } else if constexpr (std::is_same_v<In, double> || std::is_same_v<In, int32_t>) {
      value = round_to_odd(static_cast<double>(in));
    } else {
      value = load(in);
    }
    if constexpr (std::is_same_v<Out, BFloat16>) return Out{f32_to_bf16(value)};
    else return Out{f32_to_f16(value)};
  } else if constexpr (std::is_floating_point_v<Out>) {
    return static_cast<Out>(load(in));
  } else if constexpr (std::is_integral_v<In>) {
    if constexpr (sizeof(Out) >= sizeof(In)) return in;
    else return in > INT32_MAX ? INT32_MAX : in < INT32_MIN ? INT32_MIN : static_cast<Out>(in);
  } else {
    return saturate<Out>(load(in));
  }
}

}  // namespace
}  // namespace magi

#endif
