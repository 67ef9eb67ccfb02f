// From a row's softmax statistics to its lse and output, with sinks and with what is there already.
#ifndef MAGI_FFA_CUDA_ROW_RESULT_CUH
#define MAGI_FFA_CUDA_ROW_RESULT_CUH

#include "../params.hpp"
#include "numeric.cuh"

namespace magi::ffa {

// Output of a row = factor * accumulated + old_factor * output that is there.
struct RowResult {
  float lse;  // natural logarithm
  float factor;
  float old_factor;
};

// Sinks are logits that take part in the denominator and have zero values. They are as many as sink_tokens, stride apart.
struct RowSinks {
  const float* values;
  int count;
  int stride;

  __device__ __forceinline__ static RowSinks of(const float* sink, int layout, int tokens, int num_heads, int64_t row, int head) {
    const int64_t begin = layout == MAGI_FFA_SINK_SSH ? row * tokens * num_heads : 0;
    return {sink + begin + head, sink == nullptr ? 0 : tokens, num_heads};
  }
};

// max2: largest logit in units of log2 (-infinity without keys), sum: of exp2(logit - max2).
__device__ __forceinline__ RowResult finish_row(float max2, float sum, const RowSinks& sinks) {
  float top = max2;
#pragma unroll 1
  for (int t = 0; t < sinks.count; ++t) top = fmaxf(top, sinks.values[t * sinks.stride] * kLog2E);
  if (top == -INFINITY) return {-INFINITY, 0.0f, 0.0f};
  const float from_keys = exp2_approx(max2 - top);
  float total = sum * from_keys;
#pragma unroll 1
  for (int t = 0; t < sinks.count; ++t) total += exp2_approx(sinks.values[t * sinks.stride] * kLog2E - top);
  return {(top + log2f(total)) * kLn2, from_keys / total, 0.0f};
}

// Merges with an earlier result of the same row by their lse. What stands behind an lse of -infinity counts as absent.
__device__ __forceinline__ RowResult merge_rows(const RowResult& row, float old_lse) {
  const float top = fmaxf(row.lse, old_lse);
  if (top == -INFINITY) return row;
  const float old_part = exp2_approx((old_lse - top) * kLog2E);
  const float new_part = exp2_approx((row.lse - top) * kLog2E);
  const float total = old_part + new_part;
  return {top + log2f(total) * kLn2, row.factor * (new_part / total), old_part / total};
}

// Raises *address to value. The memory may hold the pattern 0xffffffff, which stands for nothing: all floats replace it.
__device__ __forceinline__ void atomic_max(float* address, float value) {
  // The bits of non-negative floats ascend as signed numbers do, those of negative ones descend as unsigned numbers.
  if (__float_as_int(value) >= 0) {
    atomicMax(reinterpret_cast<int*>(address), __float_as_int(value));
  } else {
    atomicMin(reinterpret_cast<unsigned*>(address), __float_as_uint(value));
  }
}

}  // namespace magi::ffa

#endif
