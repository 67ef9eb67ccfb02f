#define MAGI_AVX512_BF16
#include "gemm_avx512_vectors.hpp"

namespace magi {

const GemmKernel* gemm_kernels_avx512_bf16() {
  static constexpr GemmKernel kernels[] = {
      make_kernel<Float32x16, Convert<float>>(),
      make_kernel<PairsBFloat16x16, PairBFloat16>(),
      make_kernel<Float32x16, Convert<Float16>>(),
      make_kernel<Float64x8, Convert<double>>(),
  };
  return kernels;
}

}  // namespace magi
