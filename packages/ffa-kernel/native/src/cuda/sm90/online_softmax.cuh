// The softmax of two rows a thread, over score tiles as they come. Probabilities replace the scores.
#ifndef MAGI_FFA_SM90_ONLINE_SOFTMAX_CUH
#define MAGI_FFA_SM90_ONLINE_SOFTMAX_CUH

#include "ptx.cuh"

namespace magi::ffa::sm90 {

struct OnlineSoftmax {
  float row_max[2] = {-INFINITY, -INFINITY};  // of unscaled scores
  float row_sum[2] = {0.0f, 0.0f};            // of this thread's columns only

  // Returns in `rescale` by what sums and outputs so far have to be multiplied. kMasked: whole rows may be hidden.
  template <bool kFirst, bool kMasked, int N>
  __device__ __forceinline__ void update(float (&scores)[N], float scale_log2, float (&rescale)[2]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float largest = scores[2 * h];
#pragma unroll
      for (int i = 0; i < N; i += 4) {
        largest = fmaxf(largest, scores[i + 2 * h]);
        largest = fmaxf(largest, scores[i + 2 * h + 1]);
      }
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 2));
      if (!kFirst) largest = fmaxf(largest, row_max[h]);
      const float base = kMasked && largest == -INFINITY ? 0.0f : largest * scale_log2;
      if (!kFirst) rescale[h] = exp2_approx(row_max[h] * scale_log2 - base);
      row_max[h] = largest;
      float sum = kFirst ? 0.0f : row_sum[h] * rescale[h];
#pragma unroll
      for (int i = 0; i < N; i += 4) {
        scores[i + 2 * h] = exp2_approx(scores[i + 2 * h] * scale_log2 - base);
        scores[i + 2 * h + 1] = exp2_approx(scores[i + 2 * h + 1] * scale_log2 - base);
      }
#pragma unroll
      for (int i = 0; i < N; i += 4) sum += scores[i + 2 * h] + scores[i + 2 * h + 1];
      row_sum[h] = sum;
    }
  }

  // Adds up the sums of the four threads of a row.
  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      row_sum[h] += __shfl_xor_sync(0xffffffff, row_sum[h], 1);
      row_sum[h] += __shfl_xor_sync(0xffffffff, row_sum[h], 2);
    }
  }
};

}  // namespace magi::ffa::sm90

#endif
