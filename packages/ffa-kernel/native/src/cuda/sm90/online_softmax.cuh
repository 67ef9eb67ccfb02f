// The softmax of two rows a thread, over score tiles as they come. Probabilities replace the scores.
#ifndef MAGI_FFA_SM90_ONLINE_SOFTMAX_CUH
#define MAGI_FFA_SM90_ONLINE_SOFTMAX_CUH

#include "../common/numeric.cuh"

namespace magi::ffa::sm90 {

// Probabilities are relative to a base, exp2(score * scale_log2 - base); any base will do that keeps them within the range of
// the numbers, since lse and the normalisation make up for it. So the base follows the row maximum only when that has grown
// by more than kSlack powers of two, and then sums and outputs are multiplied; and with a type of float32's range, later
// tiles are not even searched for their maximum. What then outgrows kLargestSum is computed again with exact maxima.
constexpr float kSlack = 8.0f;
constexpr float kLargestSum = 1.1e12f;  // 2^40
// From here on, an output of large values may have overflown. Sums of 2^20 keys stay below without a stale base.
constexpr float kDoubtfulSum = 2.7e8f;  // 2^28

struct OnlineSoftmax {
  float row_max[2] = {-INFINITY, -INFINITY};  // of unscaled scores
  float base[2] = {0.0f, 0.0f};               // what the exponentials are relative to: row_max * scale_log2
  // Of this thread's even and odd columns: one chain of additions would take longer than the exponentials.
  float sums[2][2] = {};

  // The sum of a row, after finish().
  __device__ __forceinline__ float row_sum(int h) const { return sums[h][0]; }

  // Searches scores for their maximum, before they become probabilities. Returns whether outputs so far have to be multiplied by
  // `rescale` (sums already are). With a slack of 0, row_max is the maximum. With `first` there is nothing yet.
  template <int N>
  __device__ __forceinline__ bool follow_maximum(const float (&scores)[N], float scale_log2, float slack, bool first,
                                                 float (&rescale)[2]) {
    float largest[2];
    find_maxima(scores, largest);
    if (first) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        row_max[h] = largest[h];
        base[h] = base_of(largest[h], scale_log2);
        sums[h][0] = sums[h][1] = 0.0f;
      }
      return false;
    }
    const float growth = fmaxf(largest[0] - row_max[0], largest[1] - row_max[1]);
    const bool grown = __any_sync(0xffffffff, growth * scale_log2 > slack);
    if (grown) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        largest[h] = fmaxf(largest[h], row_max[h]);
        base[h] = base_of(largest[h], scale_log2);
        // Exactly 1 where nothing changed, rounding apart.
        rescale[h] = largest[h] == row_max[h] ? 1.0f : exp2_approx(row_max[h] * scale_log2 - base[h]);
        row_max[h] = largest[h];
        sums[h][0] *= rescale[h];
        sums[h][1] *= rescale[h];
      }
    }
    return grown;
  }

  // Replaces scores [kBegin, kEnd) by probabilities.
  template <int kBegin, int kEnd, int N>
  __device__ __forceinline__ void exponentiate(float (&scores)[N], float scale_log2) {
#pragma unroll
    for (int i = kBegin; i < kEnd; ++i) {
      const int h = i / 2 % 2;
      scores[i] = exp2_approx(scores[i] * scale_log2 - base[h]);
      sums[h][i % 2] += scores[i];
    }
  }

  __device__ __forceinline__ bool lacks_maximum() const { return fminf(row_max[0], row_max[1]) == -INFINITY; }

  // Adds up the sums of the four threads of a row.
  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      sums[h][0] += sums[h][1];
      sums[h][0] += __shfl_xor_sync(0xffffffff, sums[h][0], 1);
      sums[h][0] += __shfl_xor_sync(0xffffffff, sums[h][0], 2);
    }
  }

 private:
  // Rows without keys so far have no maximum.
  static __device__ __forceinline__ float base_of(float maximum, float scale_log2) {
    return maximum == -INFINITY ? 0.0f : maximum * scale_log2;
  }

  template <int N>
  static __device__ __forceinline__ void find_maxima(const float (&scores)[N], float (&maxima)[2]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float largest = scores[2 * h];
#pragma unroll
      for (int i = 0; i < N; i += 4) {
        largest = fmaxf(largest, scores[i + 2 * h]);
        largest = fmaxf(largest, scores[i + 2 * h + 1]);
      }
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 1));
      maxima[h] = fmaxf(largest, __shfl_xor_sync(0xffffffff, largest, 2));
    }
  }
};

}  // namespace magi::ffa::sm90

#endif
