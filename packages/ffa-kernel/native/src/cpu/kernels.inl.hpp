// The kernels of one instruction set. Each kernels_*.cpp is compiled with its own flags, defines MAGI_ISA (a namespace) and
// MAGI_SIMD (a simd_*.hpp), and includes this file once. Everything lives in an unnamed namespace: were a function shared, the
// linker might keep the copy that was compiled for a processor which this one is not. For the same reason nothing here
// uses the C++ standard library beyond its types.

#include <magi/float16.hpp>

#include "job.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if !defined(_WIN32)
#include <sched.h>
#endif

#define MAGI_INLINE __attribute__((always_inline)) inline
// Loops around a micro-kernel stay functions of their own, or the compiler runs out of registers for its accumulators.
#define MAGI_NOINLINE __attribute__((noinline)) static

namespace magi::ffa {
namespace {
namespace MAGI_ISA {

#include MAGI_SIMD

using Float = Simd::Float;
using Mask = Simd::Mask;

constexpr int kGroup = kGroupVectors * Simd::kLanes;
static_assert(kForwardRows % kGroup == 0 && kBackwardRows % kGroup == 0, "tiles are cut into whole groups");

// Where 2^x becomes zero: scalef underflows, the integer exponent of the others reaches its end at -127.
constexpr float kExp2Lowest = Simd::kLanes == 16 ? -160.0f : -127.0f;

MAGI_INLINE void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

inline void yield_thread() {
#if !defined(_WIN32)
  sched_yield();
#endif
}

inline int64_t floor_to(int64_t x, int64_t step) { return x - x % step; }
inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Hands out pieces of a thread's scratch memory one after another; without memory it only adds them up.
struct Arena {
  float* base = nullptr;
  int64_t used = 0;

  float* take(int64_t floats) {
    float* at = base == nullptr ? nullptr : base + used;
    used += floats;
    return at;
  }
};

#include "math.inl.hpp"
#include "elements.inl.hpp"
#include "products.inl.hpp"
#include "mask.inl.hpp"
#include "operands.inl.hpp"
#include "forward.inl.hpp"
#include "backward.inl.hpp"

template <typename Units>
const Kernels* kernels_of() {
  static constexpr Kernels kernels = {
      kGroup,
      Units::kPack,
      forward_scratch_floats<Units>,
      backward_scratch_floats<Units>,
      pack_operand<Units>,
      forward_tile<Units>,
      prepare_queries<Units>,
      backward_tile<Units>,
  };
  return &kernels;
}

}  // namespace MAGI_ISA
}  // namespace
}  // namespace magi::ffa
