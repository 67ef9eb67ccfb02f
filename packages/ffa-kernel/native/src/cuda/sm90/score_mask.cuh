// Hides the scores of a tile that the mask does not show.
#ifndef MAGI_FFA_SM90_SCORE_MASK_CUH
#define MAGI_FFA_SM90_SCORE_MASK_CUH

#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// A thread's columns of a wgmma accumulator are 8 i + 2 (lane % 4) + {0, 1}. How many of them are below `col`, which is
// relative to the thread's first column; at most `limit`.
__device__ __forceinline__ int own_columns_below(int col, int limit) {
  const int clamped = max(0, min(col, limit));
  return 2 * (clamped >> 3) + min(clamped & 7, 2);
}

__device__ __forceinline__ uint32_t low_bits(int count) { return count >= 32 ? 0xffffffffu : (1u << count) - 1; }

// One bit for each of the thread's own columns of a row: those in [begin, end), relative to the tile.
__device__ __forceinline__ uint32_t column_bits(int begin, int end, int first_own) {
  return low_bits(own_columns_below(end - first_own, 128)) & ~low_bits(own_columns_below(begin - first_own, 128));
}

// The columns that a row sees through a band, relative to the tile that begins at col_begin.
__device__ __forceinline__ uint32_t band_bits(const int32_t (&band)[6], int row, int col_begin, int first_own) {
  if (row < band[0] || row >= band[1]) return 0;
  const int begin = max(band[2], row + band[4]) - col_begin;
  const int end = min(band[3], row + band[5] + 1) - col_begin;
  return column_bits(begin, end, first_own);
}

// Sets hidden scores to -infinity. `rows` are the thread's two rows, as plan rows (tokens).
template <int N>
__device__ __forceinline__ void mask_scores(float (&scores)[N], const TileRecord& record, const PlanView& plan,
                                            const int (&rows)[2], int lane) {
  static_assert(N <= 64, "one word has the bits of 128 columns");
  const int col_begin = record.col_begin;
  const int first_own = 2 * (lane % 4);
  const int count = record.band_count;
  uint32_t bits[2] = {0, 0};
  if (count == 0) bits[0] = bits[1] = column_bits(0, plan.num_cols - col_begin, first_own);
  for (int i = 0; i < count; ++i) {
    int32_t band[6];
    if (i < kInlineBands) {
#pragma unroll
      for (int word = 0; word < 6; ++word) band[word] = record.bands[i][word];
    } else {
      const int32_t* source = plan.bands + 6 * __ldg(plan.run_bands + record.band_begin + i);
#pragma unroll
      for (int word = 0; word < 6; ++word) band[word] = __ldg(source + word);
    }
    bits[0] |= band_bits(band, rows[0], col_begin, first_own);
    bits[1] |= band_bits(band, rows[1], col_begin, first_own);
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int bit = 2 * (i / 4) + i % 2;
    if (!(bits[(i / 2) % 2] >> bit & 1)) scores[i] = -INFINITY;
  }
}

}  // namespace magi::ffa::sm90

#endif
