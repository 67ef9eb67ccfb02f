#include "gemm_kernel_impl.hpp"

#include <immintrin.h>

namespace magi {
namespace {

// 6 x 2 sums, 2 columns, 1 broadcast in 15 of 16 registers.
struct Float32x8 {
  using Register = __m256;
  using Element = float;
  using Result = float;
  static constexpr int kLanes = 8, kMaxRows = 6, kVectors = 2;
  static Register zero() { return _mm256_setzero_ps(); }
  static Register load(const Element* p) { return _mm256_loadu_ps(p); }
  static Register broadcast(const Element* p) { return _mm256_broadcast_ss(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register load_result(const Result* p) { return _mm256_loadu_ps(p); }
  static void store_result(Result* p, Register x) { _mm256_storeu_ps(p, x); }
  static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
};

struct Float64x4 {
  using Register = __m256d;
  using Element = double;
  using Result = double;
  static constexpr int kLanes = 4, kMaxRows = 6, kVectors = 2;
  static Register zero() { return _mm256_setzero_pd(); }
  static Register load(const Element* p) { return _mm256_loadu_pd(p); }
  static Register broadcast(const Element* p) { return _mm256_broadcast_sd(p); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_pd(a, b, c); }
  static Register load_result(const Result* p) { return _mm256_loadu_pd(p); }
  static void store_result(Result* p, Register x) { _mm256_storeu_pd(p, x); }
  static Register add(Register a, Register b) { return _mm256_add_pd(a, b); }
};

}  // namespace

const GemmKernel* gemm_kernels_avx2() {
  static constexpr GemmKernel kernels[] = {
      make_kernel<Float32x8, Convert<float>>(),
      make_kernel<Float32x8, Convert<BFloat16>>(),
      make_kernel<Float32x8, Convert<Float16>>(),
      make_kernel<Float64x4, Convert<double>>(),
  };
  return kernels;
}

}  // namespace magi
