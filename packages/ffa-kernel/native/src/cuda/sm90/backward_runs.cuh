// The runs of a key tile: which query tiles it visits, read from the plan or derived from its only band.
#ifndef MAGI_FFA_SM90_BACKWARD_RUNS_CUH
#define MAGI_FFA_SM90_BACKWARD_RUNS_CUH

#include <cstdint>

#include "../params.hpp"

namespace magi::ffa::sm90 {

// As in a plan: first column, number of column tiles, first band, number of bands (0: every key sees every query).
struct RunList {
  const int4* runs;
  int32_t count;
};

constexpr int kDenseRuns = 3;

// The arithmetic of dense plans (see TilePlan), columns on the grid of tile_cols. Some of the three runs may be empty.
__device__ inline int32_t derive_runs(const PlanView& plan, int32_t tile, int32_t cols_shift, int4 (&runs)[kDenseRuns]) {
  const int32_t lo = plan.band[4], hi = plan.band[5];
  const int32_t tile_begin = tile * plan.tile_rows;
  const int32_t tile_end = min(tile_begin + plan.tile_rows, plan.num_rows);
  const int32_t row_begin = max(tile_begin, plan.band[0]);
  const int32_t row_end = min(tile_end, plan.band[1]);
  if (row_begin >= row_end) return 0;
  const int32_t round_up = plan.tile_cols - 1;
  const int32_t begin = max(plan.band[2], row_begin + lo) >> cols_shift;
  const int32_t end = (min(plan.band[3], row_end + hi) + round_up) >> cols_shift;
  const int32_t seen_begin = max(plan.band[2], tile_end - 1 + lo);
  const int32_t seen_end = min(plan.band[3], tile_begin + hi + 1);
  int32_t full_begin = (seen_begin + round_up) >> cols_shift;
  int32_t full_end = seen_end == plan.num_cols ? end : seen_end >> cols_shift;
  const bool all_rows = row_begin == tile_begin && row_end == tile_end;
  if (!all_rows || seen_begin >= seen_end || full_begin >= full_end) full_begin = full_end = end;
  runs[0] = make_int4(begin << cols_shift, full_begin - begin, 0, 1);
  runs[1] = make_int4(full_begin << cols_shift, full_end - full_begin, 0, 0);
  runs[2] = make_int4(full_end << cols_shift, end - full_end, 0, 1);
  return kDenseRuns;
}

// One warp. `scratch`, in shared memory, holds the runs of a dense plan until the next call.
__device__ inline RunList find_runs(const PlanView& plan, int32_t tile, int32_t cols_shift, int4 (&scratch)[kDenseRuns]) {
  if (plan.tile_runs != nullptr) {
    const int32_t first = plan.tile_runs[tile];
    return {reinterpret_cast<const int4*>(plan.runs) + first, plan.tile_runs[tile + 1] - first};
  }
  if (plan.num_bands == 0) return {scratch, 0};
  __syncwarp();
  // Each lane writes the same.
  const int32_t count = derive_runs(plan, tile, cols_shift, scratch);
  __syncwarp();
  return {scratch, count};
}

}  // namespace magi::ffa::sm90

#endif
