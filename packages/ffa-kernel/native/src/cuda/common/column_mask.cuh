// Which cells of a tile the mask shows, as bits for the cells that a thread holds of an mma accumulator.
#ifndef MAGI_FFA_CUDA_COLUMN_MASK_CUH
#define MAGI_FFA_CUDA_COLUMN_MASK_CUH

#include "tile_runs.cuh"

namespace magi::ffa {

// A thread holds the columns 8 i + 2 (lane % 4) + {0, 1} of a row: bits 2 i and 2 i + 1 here. kCols <= 64.
template <int kCols>
__device__ __forceinline__ uint32_t own_bits_below(int col, int lane) {
  const int clamped = max(0, min(col - 2 * (lane % 4), kCols));
  return (1u << (2 * (clamped >> 3) + min(clamped & 7, 2))) - 1;
}

// The thread's own columns within [begin, end), relative to the tile.
template <int kCols>
__device__ __forceinline__ uint32_t own_bits(int begin, int end, int lane) {
  return own_bits_below<kCols>(end, lane) & ~own_bits_below<kCols>(begin, lane);
}

// The bits of several rows, given as rows of the plan, for the tile under the cursor. A column of the plan is 1 << col_shift
// columns of the tile. Rows beyond the plan see nothing, and columns beyond it are not seen.
template <int kCols, int kRows>
__device__ __forceinline__ void visible_bits(uint32_t (&bits)[kRows], const int (&rows)[kRows], const TileCursor& cursor,
                                             const PlanView& plan, int col_shift, int lane) {
  static_assert(kCols <= 64, "16 bits for a row");
  const int tile_cols = kCols >> col_shift;
  const int tile_begin = cursor.col_begin();
  const auto add = [&](int i, int begin, int end) {
    // Clamped first: bounds shifted to the left must not overflow.
    const int first = max(0, min(begin - tile_begin, tile_cols));
    const int last = max(0, min(end - tile_begin, tile_cols));
    bits[i] |= own_bits<kCols>(first << col_shift, last << col_shift, lane);
  };
#pragma unroll
  for (int i = 0; i < kRows; ++i) bits[i] = 0;
  if (cursor.band_count() == 0) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (rows[i] < plan.num_rows) add(i, tile_begin, plan.num_cols);
    }
  }
  for (int b = 0; b < cursor.band_count(); ++b) {
    const int32_t* band = cursor.band(b);
    const int row0 = band[0], row1 = band[1], col0 = band[2], col1 = band[3], lo = band[4], hi = band[5];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (rows[i] >= row0 && rows[i] < row1) add(i, max(col0, rows[i] + lo), min(col1, rows[i] + hi + 1));
    }
  }
}

}  // namespace magi::ffa

#endif
