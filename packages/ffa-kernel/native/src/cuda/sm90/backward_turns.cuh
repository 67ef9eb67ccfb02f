// A fixed order of the sums in grad_q: the key tiles that visit a query tile take turns, in the order in which they are started.
#ifndef MAGI_FFA_SM90_BACKWARD_TURNS_CUH
#define MAGI_FFA_SM90_BACKWARD_TURNS_CUH

#include <cstdint>

#include "backward_config.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

// Key tiles are claimed in order by blocks that run, so whoever is waited for is running, and the one that was claimed first
// never waits.
class BackwardTurn {
 public:
  __device__ __forceinline__ BackwardTurn(const BackwardKernelParams& params, int32_t query_tile, int32_t key_tile, int consumer)
      : done_(params.turns + 2 * int64_t{query_tile} + consumer) {
    const int32_t column = query_tile % params.num_query_tiles;
    rank_ = params.plan.tile_runs != nullptr ? params.ranks[int64_t{key_tile} * params.num_query_tiles + column]
                                             : dense_rank(params, column, key_tile);
  }

  // The sums are written by TMA, the counter is not: hence the fences.
  __device__ __forceinline__ void wait() const {
    wait_for_count(done_, rank_);
    fence_async_proxy_global();
  }

  // After the sum has been written.
  __device__ __forceinline__ void pass() const {
    fence_async_proxy_global();
    __threadfence();
    count_up(done_);
  }

 private:
  // The key tiles that visit a query tile are consecutive: those that meet the rows of the band that its columns see.
  static __device__ __forceinline__ int32_t dense_rank(const BackwardKernelParams& params, int32_t column, int32_t key_tile) {
    const PlanView& plan = params.plan;
    const int32_t col_begin = max(column * plan.tile_cols, plan.band[2]);
    const int32_t col_end = min((column + 1) * plan.tile_cols, plan.band[3]);
    if (params.reverse_tiles) {
      const int32_t last_row = min(col_end - 1 - plan.band[4], plan.band[1] - 1);
      return last_row / plan.tile_rows - key_tile;
    }
    const int32_t first_row = max(col_begin - plan.band[5], plan.band[0]);
    return key_tile - first_row / plan.tile_rows;
  }

  int32_t* done_;
  int32_t rank_;
};

}  // namespace magi::ffa::sm90

#endif
