// The sums of the deterministic backward: whole numbers, whose order does not matter.
#ifndef MAGI_FFA_CUDA_FIXED_POINT_CUH
#define MAGI_FFA_CUDA_FIXED_POINT_CUH

#include <cstdint>

namespace magi::ffa {

// Sums of a row are counted in units of 2^-fixed_exponent. With B = |scale| grad_norm max|v| max|k| they stay below 2 B, since
// |grad_q| <= |scale| sum_j P_j |dP_j - delta| |k_j|, where sum_j P_j <= 1 and |dP_j|, |delta| <= grad_norm max|v|. They get
// 59 bits.
__device__ __forceinline__ int fixed_exponent(float grad_norm, float scale, const uint32_t* maxima) {
  const float bound = grad_norm * __uint_as_float(maxima[0]) * __uint_as_float(maxima[1]) * fabsf(scale);
  const int exponent = static_cast<int>(__float_as_uint(bound) >> 23 & 0xff) - 126;  // bound < 2^exponent
  return min(58 - exponent, 120);
}
// The exponent of a row whose bound is infinite or NaN.
constexpr int kNotFinite = 58 - (255 - 126);

__device__ __forceinline__ float power_of_two(int exponent) {
  return __uint_as_float(static_cast<uint32_t>(exponent + 127) << 23);
}

}  // namespace magi::ffa

#endif
