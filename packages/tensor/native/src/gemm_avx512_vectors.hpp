// The AVX-512 vectors of the matrix product: 14 x 2 sums, 2 columns, 1 broadcast in 31 of 32 registers.
#include "gemm_kernel_impl.hpp"

#include <immintrin.h>

namespace magi {
namespace {

struct Float32x16 {
  using Register = __m512;
  using Element = float;
  using Result = float;
  static constexpr int kLanes = 16, kMaxRows = 14, kVectors = 2;
  static Register zero() { return _mm512_setzero_ps(); }
  static Register load(const Element* p) { return _mm512_loadu_ps(p); }
  static Register broadcast(const Element* p) { return _mm512_set1_ps(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register load_result(const Result* p) { return _mm512_loadu_ps(p); }
  static void store_result(Result* p, Register x) { _mm512_storeu_ps(p, x); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
};

struct Float64x8 {
  using Register = __m512d;
  using Element = double;
  using Result = double;
  static constexpr int kLanes = 8, kMaxRows = 14, kVectors = 2;
  static Register zero() { return _mm512_setzero_pd(); }
  static Register load(const Element* p) { return _mm512_loadu_pd(p); }
  static Register broadcast(const Element* p) { return _mm512_set1_pd(*p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_pd(a, b, c); }
  static Register load_result(const Result* p) { return _mm512_loadu_pd(p); }
  static void store_result(Result* p, Register x) { _mm512_storeu_pd(p, x); }
  static Register add(Register a, Register b) { return _mm512_add_pd(a, b); }
};

#if defined(MAGI_AVX512_BF16)
// Sixteen sums of products of bfloat16 pairs. vdpbf16ps takes subnormal inputs and sums as zero.
struct PairsBFloat16x16 {
  using Register = __m512;
  using Element = uint32_t;
  using Result = float;
  static constexpr int kLanes = 16, kMaxRows = 14, kVectors = 2;
  static Register zero() { return _mm512_setzero_ps(); }
  static Register load(const Element* p) { return _mm512_loadu_ps(p); }
  static Register broadcast(const Element* p) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(*p))); }
  static Register multiply_add(Register a, Register b, Register c) {
    return _mm512_dpbf16_ps(c, __builtin_bit_cast(__m512bh, a), __builtin_bit_cast(__m512bh, b));
  }
  static Register load_result(const Result* p) { return _mm512_loadu_ps(p); }
  static void store_result(Result* p, Register x) { _mm512_storeu_ps(p, x); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
};
#endif

}  // namespace
}  // namespace magi
