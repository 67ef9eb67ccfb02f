// Elementwise work of a backward step, on the registers of S^T and dP^T: a thread has two rows of keys, and pairs of columns.
#ifndef MAGI_FFA_SM90_BACKWARD_SCORES_CUH
#define MAGI_FFA_SM90_BACKWARD_SCORES_CUH

#include <cstdint>

#include "backward_config.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

// Work is done on blocks of 64 columns, of which a thread has 8 pairs.
constexpr int kBlockPairs = 8;
using ColumnConstants = float[2 * kBlockPairs];

// The constants of a thread's columns, from lane_column on. Asked for before a wait, they are there after it.
__device__ __forceinline__ void fetch_columns(ColumnConstants& values, const float* columns, int lane_column) {
#pragma unroll
  for (int j = 0; j < kBlockPairs; ++j) {
    const float2 pair = *reinterpret_cast<const float2*>(columns + lane_column + 8 * j);
    values[2 * j] = pair.x;
    values[2 * j + 1] = pair.y;
  }
}

// P^T in 16 bits, as left operand of wgmma; with softcap also the slopes 1 - tanh^2, from 0 to 1, in half precision.
template <typename T, bool kSoftcap, int kBlock, int kScores>
__device__ __forceinline__ void exponentials(const BackwardKernelParams& params, float (&scores)[kScores],
                                             uint32_t (&probs)[kScores / 8][4], uint32_t (&slopes)[kScores / 8][4],
                                             const ColumnConstants& lse2) {
#pragma unroll
  for (int j = kBlock * kBlockPairs; j < (kBlock + 1) * kBlockPairs; ++j) {
    const int column = 2 * (j - kBlock * kBlockPairs);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float* pair = scores + 4 * j + 2 * h;
      if constexpr (kSoftcap) {
        pair[0] = tanh_exact(pair[0] * params.softcap_scale);
        pair[1] = tanh_exact(pair[1] * params.softcap_scale);
        slopes[j / 2][2 * (j % 2) + h] = pack_pair<__half>(1.0f - pair[0] * pair[0], 1.0f - pair[1] * pair[1]);
      }
      pair[0] = exp2_approx(pair[0] * params.scale_log2 - lse2[column]);
      pair[1] = exp2_approx(pair[1] * params.scale_log2 - lse2[column + 1]);
      probs[j / 2][2 * (j % 2) + h] = pack_pair<T>(pair[0], pair[1]);
    }
  }
}

// dS^T = P^T * (dP^T - delta), with softcap times the slopes, in 16 bits.
template <typename T, bool kSoftcap, int kBlock, int kScores>
__device__ __forceinline__ void score_grads(const float (&grad_probs)[kScores], const uint32_t (&probs)[kScores / 8][4],
                                            const uint32_t (&slopes)[kScores / 8][4], uint32_t (&grad_scores)[kScores / 8][4],
                                            const ColumnConstants& delta) {
#pragma unroll
  for (int j = kBlock * kBlockPairs; j < (kBlock + 1) * kBlockPairs; ++j) {
    const int column = 2 * (j - kBlock * kBlockPairs);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int at = 4 * j + 2 * h;
      float2 p = unpack_pair(probs[j / 2][2 * (j % 2) + h], T{});
      if constexpr (kSoftcap) {
        const float2 slope = unpack_pair(slopes[j / 2][2 * (j % 2) + h], __half{});
        p.x *= slope.x;
        p.y *= slope.y;
      }
      grad_scores[j / 2][2 * (j % 2) + h] =
          pack_pair<T>(p.x * (grad_probs[at] - delta[column]), p.y * (grad_probs[at + 1] - delta[column + 1]));
    }
  }
}

}  // namespace magi::ffa::sm90

#endif
