// Arithmetic that all kernels share: 16-bit elements, exponentials, and the function that scores pass through.
#ifndef MAGI_FFA_CUDA_NUMERIC_CUH
#define MAGI_FFA_CUDA_NUMERIC_CUH

#include <cstdint>

#include "ptx.cuh"

namespace magi::ffa {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

// 1 - 2 / (e^2x + 1): its error of some 1e-7 is far below that of the processor's tanh, which would show in the logits.
__device__ __forceinline__ float tanh_exact(float x) { return 1.0f - __fdividef(2.0f, exp2_approx(2.0f * kLog2E * x) + 1.0f); }

__device__ __forceinline__ float2 unpack_pair(uint32_t pair, __nv_bfloat16) {
  return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
}
__device__ __forceinline__ float2 unpack_pair(uint32_t pair, __half) {
  return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

// Logits are softmax_scale * q k, capped if there is a softcap. Kernels hold scores x with logit = unit * x and unit > 0, so that
// a maximum of scores is one of logits: x is q k itself where the scale allows it, else what apply() makes of it.
struct ScoreTransform {
  float inner;  // factor of q k inside of the function
  float unit;
  bool active;
  bool capped;

  __host__ __device__ static ScoreTransform of(float softmax_scale, float softcap) {
    if (softcap > 0.0f) return {softmax_scale / softcap, softcap, true, true};
    if (softmax_scale > 0.0f) return {1.0f, softmax_scale, false, false};
    return {softmax_scale, 1.0f, true, false};
  }
  __device__ __forceinline__ float apply(float x) const { return capped ? tanh_exact(inner * x) : inner * x; }
};

}  // namespace magi::ffa

#endif
