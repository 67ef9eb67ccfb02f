// The runs of a key tile: which query tiles it visits, read from the plan or derived from its only band.
#ifndef MAGI_FFA_SM90_BACKWARD_RUNS_CUH
#define MAGI_FFA_SM90_BACKWARD_RUNS_CUH

#include <cstdint>

#include "../params.hpp"

namespace magi::ffa::sm90 {

struct BackwardRun {
  int32_t begin;  // query tiles
  int32_t end;
  int32_t band_begin;
  int32_t band_count;  // 0: every key sees every query
};

class BackwardRuns {
 public:
  __device__ BackwardRuns(const PlanView& plan, int32_t tile) : plan_(plan) {
    if (plan.tile_runs != nullptr) {
      first_ = plan.tile_runs[tile];
      count_ = plan.tile_runs[tile + 1] - first_;
    } else {
      count_ = plan.num_bands == 0 ? 0 : derive(tile);
    }
  }

  __device__ int32_t count() const { return count_; }

  __device__ BackwardRun at(int32_t index) const {
    if (plan_.tile_runs != nullptr) {
      const int4 run = reinterpret_cast<const int4*>(plan_.runs)[first_ + index];
      const int32_t begin = run.x / plan_.tile_cols;
      return {begin, begin + run.y, run.z, run.w};
    }
    if (index == 0) return {first_, full_begin_, 0, 1};
    if (index == 1) return {full_begin_, full_end_, 0, 0};
    return {full_end_, end_, 0, 1};
  }

 private:
  // The arithmetic of dense plans (see TilePlan), columns on the grid of tile_cols. Of the three runs some may be empty.
  __device__ int32_t derive(int32_t tile) {
    const int32_t row0 = plan_.band[0], row1 = plan_.band[1], col0 = plan_.band[2], col1 = plan_.band[3];
    const int32_t lo = plan_.band[4], hi = plan_.band[5];
    const int32_t cols = plan_.tile_cols;
    const int32_t tile_begin = tile * plan_.tile_rows;
    const int32_t tile_end = min(tile_begin + plan_.tile_rows, plan_.num_rows);
    const int32_t row_begin = max(tile_begin, row0);
    const int32_t row_end = min(tile_end, row1);
    if (row_begin >= row_end) return 0;
    const int32_t hull_begin = max(col0, row_begin + lo);
    const int32_t hull_end = min(col1, row_end + hi);
    first_ = hull_begin / cols;
    end_ = (hull_end + cols - 1) / cols;
    const int32_t seen_begin = max(col0, tile_end - 1 + lo);
    const int32_t seen_end = min(col1, tile_begin + hi + 1);
    full_begin_ = (seen_begin + cols - 1) / cols;
    full_end_ = seen_end == plan_.num_cols ? end_ : seen_end / cols;
    const bool all_rows = row_begin == tile_begin && row_end == tile_end;
    if (!all_rows || seen_begin >= seen_end || full_begin_ >= full_end_) full_begin_ = full_end_ = end_;
    return 3;
  }

  const PlanView& plan_;
  int32_t first_ = 0;  // run, or query tile
  int32_t count_ = 0;
  int32_t full_begin_ = 0;
  int32_t full_end_ = 0;
  int32_t end_ = 0;
};

}  // namespace magi::ffa::sm90

#endif
