// What CUDA C++ has beyond C++, for a compiler of the latter. Included before every source.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <cuda_runtime.h>

#include "emulator/block.hpp"
#include "emulator/launch.hpp"
#include "emulator/warp.hpp"

// A block stays on one thread of the operating system.
#undef __shared__
#define __shared__ thread_local
#undef __align__
#define __align__(bytes) __attribute__((aligned(bytes)))
#undef __launch_bounds__
#define __launch_bounds__(...)

#define cudaLaunchKernelEx ::emulator::launch_kernel

namespace emulator {

// threadIdx and the like. No macros: structures have members of the same names.
struct ThreadIndex {
  static uint3 get() {
    const dim3& shape = block().launch().threads;
    const unsigned number = static_cast<unsigned>(block().self().number);
    return {number % shape.x, number / shape.x % shape.y, number / shape.x / shape.y};
  }
};
struct BlockIndex {
  static uint3 get() { return block().index(); }
};
struct BlockSize {
  static dim3 get() { return block().launch().threads; }
};
struct GridSize {
  static dim3 get() { return block().launch().grid; }
};
template <typename Index>
struct IndexVariable {
  struct X {
    operator unsigned() const { return Index::get().x; }
  } x;
  struct Y {
    operator unsigned() const { return Index::get().y; }
  } y;
  struct Z {
    operator unsigned() const { return Index::get().z; }
  } z;
};

template <typename To, typename From>
To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

template <typename T, typename Change>
T atomic_change(T* place, Change change) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  Bits* bits = reinterpret_cast<Bits*>(place);
  Bits before = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &before, bits_as<Bits>(change(bits_as<T>(before))), false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_RELAXED)) {
  }
  return bits_as<T>(before);
}

}  // namespace emulator

inline constexpr emulator::IndexVariable<emulator::ThreadIndex> threadIdx{};
inline constexpr emulator::IndexVariable<emulator::BlockIndex> blockIdx{};
inline constexpr emulator::IndexVariable<emulator::BlockSize> blockDim{};
inline constexpr emulator::IndexVariable<emulator::GridSize> gridDim{};

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

// ---- arithmetic ----

using std::isinf;
using std::isnan;

template <typename A, typename B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? static_cast<std::common_type_t<A, B>>(b) : a;
}
template <typename A, typename B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? static_cast<std::common_type_t<A, B>>(b) : a;
}
inline float __int_as_float(int bits) { return emulator::bits_as<float>(bits); }
inline float __uint_as_float(unsigned bits) { return emulator::bits_as<float>(bits); }
inline int __float_as_int(float value) { return emulator::bits_as<int>(value); }
inline unsigned __float_as_uint(float value) { return emulator::bits_as<unsigned>(value); }
inline long long __float2ll_rn(float value) { return std::llrint(value); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return std::exp(x); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

// ---- memory ----

template <typename T>
T __ldg(const T* place) {
  return *place;
}
template <typename T>
T __ldcs(const T* place) {
  return *place;
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
template <typename T, typename U>
T atomicAdd(T* place, U value) {
  return emulator::atomic_change(place, [&](T before) { return static_cast<T>(before + value); });
}
template <typename T, typename U>
T atomicMax(T* place, U value) {
  return emulator::atomic_change(place, [&](T before) { return std::max<T>(before, value); });
}
template <typename T, typename U>
T atomicMin(T* place, U value) {
  return emulator::atomic_change(place, [&](T before) { return std::min<T>(before, value); });
}

[[noreturn]] inline void __trap() { throw emulator::KernelError("__trap()"); }
