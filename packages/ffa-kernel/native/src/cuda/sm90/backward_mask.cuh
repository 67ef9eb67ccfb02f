// Which elements of a thread's part of S^T are visible: one bit each.
#ifndef MAGI_FFA_SM90_BACKWARD_MASK_CUH
#define MAGI_FFA_SM90_BACKWARD_MASK_CUH

#include <cstdint>

#include "backward_config.cuh"

namespace magi::ffa::sm90 {

// Of the columns 8i + c and 8i + c + 1 of a window of 64, how many lie before `bound`, counted from c.
__device__ __forceinline__ uint32_t owned_before(int32_t bound) {
  const int32_t clamped = min(max(bound, 0), 64);
  return 2 * (clamped >> 3) + min(clamped & 7, 2);
}

// Bits of the 16 columns that a thread owns in a window of 64.
__device__ __forceinline__ uint32_t owned_between(int32_t begin, int32_t end) {
  return ((1u << owned_before(end)) - 1) & ~((1u << owned_before(begin)) - 1);
}

// For kRows query rows, one word for each 64 of them: the low half is the thread's upper key row, the high half the one 8 below.
// Column pair j of a half is two bits. key: the upper row; lane_column: the thread's first column.
template <int kQueryRows>
struct ScoreMask {
  uint32_t words[kQueryRows / 64];

  __device__ __forceinline__ void find(const PlanView& plan, const BackwardStep& step, const BackwardRunBands& run, int32_t key,
                                       int32_t total_k, int32_t packed_shift, int32_t lane_column) {
#pragma unroll
    for (int w = 0; w < kQueryRows / 64; ++w) words[w] = 0;
    if (step.band_count == 0) {
#pragma unroll
      for (int w = 0; w < kQueryRows / 64; ++w) words[w] = (key < total_k ? 0xFFFFu : 0) | (key + 8 < total_k ? 0xFFFF0000u : 0);
      return;
    }
#pragma unroll
    for (int i = 0; i < min(step.band_count, BackwardRunBands::kCount); ++i) {
      const int4 area = *reinterpret_cast<const int4*>(run.bands[i]);
      const int2 diagonals = *reinterpret_cast<const int2*>(run.bands[i] + 4);
      show(area, diagonals, step.token, key, packed_shift, lane_column);
    }
#pragma unroll 1
    for (int32_t i = BackwardRunBands::kCount; i < step.band_count; ++i) {
      const int32_t* band = plan.bands + BackwardRunBands::kInts * plan.run_bands[run.begin + i];
      show({band[0], band[1], band[2], band[3]}, {band[4], band[5]}, step.token, key, packed_shift, lane_column);
    }
  }

  // Keeps the visible ones of two packed elements: pair j of columns, row half h.
  __device__ __forceinline__ uint32_t keep(uint32_t pair, int j, int h) const {
    const uint32_t bits = words[j / 8] >> (16 * h + 2 * (j % 8));
    return pair & (((bits & 1) ? 0x0000FFFFu : 0) | ((bits & 2) ? 0xFFFF0000u : 0));
  }

 private:
  // What a band shows: area is row0, row1, col0, col1; diagonals are lo, hi.
  __device__ __forceinline__ void show(int4 area, int2 diagonals, int32_t token, int32_t key, int32_t packed_shift,
                                       int32_t lane_column) {
    const int32_t tile_tokens = kQueryRows >> packed_shift;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int32_t row = key + 8 * h;
      if (row < area.x || row >= area.y) continue;
      const int32_t begin = min(max(max(area.z, row + diagonals.x) - token, 0), tile_tokens) << packed_shift;
      const int32_t end = min(max(min(area.w, row + diagonals.y + 1) - token, 0), tile_tokens) << packed_shift;
      if (begin >= end) continue;
#pragma unroll
      for (int w = 0; w < kQueryRows / 64; ++w) {
        words[w] |= owned_between(begin - lane_column - 64 * w, end - lane_column - 64 * w) << (16 * h);
      }
    }
  }
};

}  // namespace magi::ffa::sm90

#endif
