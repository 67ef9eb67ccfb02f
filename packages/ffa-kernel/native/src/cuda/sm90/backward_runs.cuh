// The runs of a key tile: which query tiles it visits, read from the plan or derived from its only band.
#ifndef MAGI_FFA_SM90_BACKWARD_RUNS_CUH
#define MAGI_FFA_SM90_BACKWARD_RUNS_CUH

#include <cstdint>

#include "../common/dense_runs.cuh"

namespace magi::ffa::sm90 {

// As in a plan: first column, number of column tiles, first band, number of bands (0: every key sees every query).
struct RunList {
  const int4* runs;
  int32_t count;
};

constexpr int kDenseRuns = 3;

// By column. Some of the three runs may be empty.
__device__ inline int32_t derive_runs(const PlanView& plan, int32_t tile, int4 (&runs)[kDenseRuns]) {
  const DenseRuns dense = dense_runs(plan, tile, true);
  if (dense.num_tiles == 0) return 0;
  const auto run = [&](int32_t from, int32_t to, int32_t bands) {
    return make_int4(dense.col_begin + from * plan.tile_cols, to - from, 0, bands);
  };
  runs[0] = run(0, dense.first_full, 1);
  runs[1] = run(dense.first_full, dense.end_full, 0);
  runs[2] = run(dense.end_full, dense.num_tiles, 1);
  return kDenseRuns;
}

// One warp. `scratch`, in shared memory, holds the runs of a dense plan until the next call.
__device__ inline RunList find_runs(const PlanView& plan, int32_t tile, int4 (&scratch)[kDenseRuns]) {
  if (plan.tile_runs != nullptr) {
    const int32_t first = plan.tile_runs[tile];
    return {reinterpret_cast<const int4*>(plan.runs) + first, plan.tile_runs[tile + 1] - first};
  }
  if (plan.num_bands == 0) return {scratch, 0};
  __syncwarp();
  // Each lane writes the same.
  const int32_t count = derive_runs(plan, tile, scratch);
  __syncwarp();
  return {scratch, count};
}

}  // namespace magi::ffa::sm90

#endif
