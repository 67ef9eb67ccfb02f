// The arithmetic of a dense plan, which has one band and no arrays (docs/notes/tile-plan.md, TilePlan in tile-plan.ts).
#ifndef MAGI_FFA_CUDA_DENSE_RUNS_CUH
#define MAGI_FFA_CUDA_DENSE_RUNS_CUH

#include <cstdint>

#include "../params.hpp"

namespace magi::ffa {

// The column tiles of a row tile: num_tiles from col_begin on, of which [first_full, end_full) are full and the others masked.
struct DenseRuns {
  int32_t col_begin;
  int32_t num_tiles;
  int32_t first_full;
  int32_t end_full;
};

// `aligned`: tiles lie on the grid of plan.tile_cols. Kernels whose tile_cols is not a power of two name it: a division by a
// variable would take registers that loading warps do not have.
template <int kTileCols = 0>
__device__ inline DenseRuns dense_runs(const PlanView& plan, int32_t tile, bool aligned) {
  const DenseRuns none = {0, 0, 0, 0};
  if (plan.num_bands == 0) return none;
  const int32_t row0 = plan.band[0], row1 = plan.band[1], col0 = plan.band[2], col1 = plan.band[3];
  const int32_t lo = plan.band[4], hi = plan.band[5];
  const int32_t tile_begin = tile * plan.tile_rows;
  const int32_t tile_end = min(tile_begin + plan.tile_rows, plan.num_rows);
  const int32_t row_begin = max(tile_begin, row0);
  const int32_t row_end = min(tile_end, row1);
  if (row_begin >= row_end) return none;

  const int32_t tile_cols = kTileCols > 0 ? kTileCols : plan.tile_cols;
  // For numbers that are not negative.
  const auto divide = [&](int32_t cols) { return kTileCols > 0 ? cols / tile_cols : cols >> (__ffs(tile_cols) - 1); };
  const int32_t hull_begin = max(col0, row_begin + lo);
  const int32_t hull_end = min(col1, row_end + hi);
  if (hull_begin >= hull_end) return none;
  const int32_t begin = aligned ? divide(hull_begin) * tile_cols : hull_begin;
  const int32_t num_tiles = divide(hull_end - begin + tile_cols - 1);

  const DenseRuns masked = {begin, num_tiles, num_tiles, num_tiles};
  const int32_t full_begin = max(col0, tile_end - 1 + lo);
  const int32_t full_end = min(col1, tile_begin + hi + 1);
  if (row_begin != tile_begin || row_end != tile_end || full_begin >= full_end) return masked;
  const int32_t first_full = divide(full_begin - begin + tile_cols - 1);
  const int32_t end_full = full_end == plan.num_cols ? num_tiles : divide(full_end - begin);
  return first_full < end_full ? DenseRuns{begin, num_tiles, first_full, end_full} : masked;
}

}  // namespace magi::ffa

#endif
