#include "gemm_kernel_impl.hpp"

namespace magi {
namespace {

// Sixteen bytes where the compiler knows vectors (SSE2, NEON, ...), else one number.
template <typename T>
struct Portable {
#if defined(__GNUC__)
  static constexpr int kLanes = 16 / sizeof(T);
  typedef T Register __attribute__((vector_size(16)));
#else
  static constexpr int kLanes = 1;
  using Register = T;
#endif
  using Element = T;
  using Result = T;
#if defined(__aarch64__)
  static constexpr int kMaxRows = 8, kVectors = 3;  // 24 sums, 3 columns, 1 broadcast in 28 of 32 registers
#else
  static constexpr int kMaxRows = 6, kVectors = 2;  // as for AVX2, in 15 of 16 registers
#endif
  static Register zero() { return Register{}; }
  static Register load(const T* p) {
    Register x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  static Register broadcast(const T* p) { return Register{} + *p; }
  static Register multiply_add(Register a, Register b, Register c) { return a * b + c; }
  static Register load_result(const T* p) { return load(p); }
  static void store_result(T* p, Register x) { std::memcpy(p, &x, sizeof(x)); }
  static Register add(Register a, Register b) { return a + b; }
};

}  // namespace

const GemmKernel* gemm_kernels_portable() {
  static constexpr GemmKernel kernels[] = {
      make_kernel<Portable<float>, Convert<float>>(),
      make_kernel<Portable<float>, Convert<BFloat16>>(),
      make_kernel<Portable<float>, Convert<Float16>>(),
      make_kernel<Portable<double>, Convert<double>>(),
  };
  return kernels;
}

}  // namespace magi
