// Reads a plan: the runs of a row tile, and one column tile after the other.
#ifndef MAGI_FFA_CUDA_TILE_RUNS_CUH
#define MAGI_FFA_CUDA_TILE_RUNS_CUH

#include "dense_runs.cuh"

namespace magi::ffa {

// Which tile is started as number `position`. A dense plan has no order of its own: its tiles have most work at one end, or all
// alike.
__device__ __forceinline__ int tile_at(const PlanView& plan, int position) {
  if (plan.tile_order != nullptr) return plan.tile_order[position];
  const bool grows = plan.num_bands > 0 && plan.band[5] < plan.num_cols;  // later rows see more
  return grows ? plan.num_tiles - 1 - position : position;
}

constexpr int kMaxDenseRuns = 3;

// The runs of a row tile, in shared memory. Those of a dense plan are made up here, in place of the arrays that it lacks.
struct TileRuns {
  const int32_t* runs;
  const int32_t* run_bands;
  const int32_t* bands;
  int32_t count;
  int32_t dense_runs[kMaxDenseRuns][4];
  int32_t dense_band[6];
  int32_t dense_band_index;  // 0: the only one
};

// `aligned`: columns on the grid and runs by column, else masked first.
__device__ inline void fill_dense_runs(TileRuns& out, const PlanView& plan, int tile, bool aligned) {
  out.runs = &out.dense_runs[0][0];
  out.run_bands = &out.dense_band_index;
  out.bands = out.dense_band;
  out.count = 0;
  out.dense_band_index = 0;
  for (int i = 0; i < 6; ++i) out.dense_band[i] = plan.band[i];
  const DenseRuns dense = dense_runs(plan, tile, aligned);
  const auto add = [&](int from, int to, int band_count) {
    if (from >= to) return;
    int32_t* run = out.dense_runs[out.count++];
    run[0] = dense.col_begin + from * plan.tile_cols;
    run[1] = to - from;
    run[2] = 0;
    run[3] = band_count;
  };
  add(0, dense.first_full, 1);
  if (aligned) add(dense.first_full, dense.end_full, 0);
  add(dense.end_full, dense.num_tiles, 1);
  if (!aligned) add(dense.first_full, dense.end_full, 0);
}

// For all threads of a block, which must call it together.
__device__ __forceinline__ void read_tile_runs(TileRuns& out, const PlanView& plan, int tile, bool aligned) {
  if (threadIdx.x == 0) {
    if (plan.tile_runs != nullptr) {
      const int begin = plan.tile_runs[tile];
      out.runs = plan.runs + 4 * static_cast<int64_t>(begin);
      out.run_bands = plan.run_bands;
      out.bands = plan.bands;
      out.count = plan.tile_runs[tile + 1] - begin;
    } else {
      fill_dense_runs(out, plan, tile, aligned);
    }
  }
  __syncthreads();
}

// Walks the column tiles of a row tile in the order of its runs.
class TileCursor {
 public:
  __device__ __forceinline__ TileCursor(const TileRuns& runs, int tile_cols) : runs_(runs), tile_cols_(tile_cols) { enter(); }

  __device__ __forceinline__ bool done() const { return run_ >= runs_.count; }
  __device__ __forceinline__ int col_begin() const { return col_begin_; }
  __device__ __forceinline__ int band_count() const { return band_count_; }  // 0: full
  __device__ __forceinline__ const int32_t* band(int i) const {
    return runs_.bands + 6 * static_cast<int64_t>(runs_.run_bands[band_begin_ + i]);
  }
  __device__ __forceinline__ void advance() {
    col_begin_ += tile_cols_;
    if (--tiles_left_ > 0) return;
    ++run_;
    enter();
  }
  __device__ __forceinline__ void restart() {
    run_ = 0;
    enter();
  }

 private:
  __device__ __forceinline__ void enter() {
    if (done()) return;
    const int32_t* run = runs_.runs + 4 * static_cast<int64_t>(run_);
    col_begin_ = run[0];
    tiles_left_ = run[1];
    band_begin_ = run[2];
    band_count_ = run[3];
  }

  const TileRuns& runs_;
  int tile_cols_;
  int run_ = 0;
  int tiles_left_ = 0;
  int col_begin_ = 0;
  int band_begin_ = 0;
  int band_count_ = 0;
};

}  // namespace magi::ffa

#endif
