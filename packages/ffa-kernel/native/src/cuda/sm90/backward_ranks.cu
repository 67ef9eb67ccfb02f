#include "backward_ranks.cuh"

#include <algorithm>

#include "../common/launch.cuh"

namespace magi::ffa::sm90 {
namespace {

constexpr int kThreads = 256;

struct RanksParams {
  PlanView plan;
  int32_t num_query_tiles;
  int32_t* ranks;
};

// A block has kThreads query tiles, one a thread, and goes through the key tiles in their order.
__global__ void __launch_bounds__(kThreads) ranks_kernel(const RanksParams params) {
  const int32_t column = blockIdx.x * kThreads + threadIdx.x;
  int32_t visits = 0;
  for (int32_t position = 0; position < params.plan.num_tiles; ++position) {
    const int32_t tile = params.plan.tile_order[position];
    for (int32_t i = params.plan.tile_runs[tile]; i < params.plan.tile_runs[tile + 1]; ++i) {
      const int4 run = reinterpret_cast<const int4*>(params.plan.runs)[i];
      const int32_t begin = run.x / params.plan.tile_cols;
      if (column < begin || column >= begin + run.y) continue;
      params.ranks[int64_t{tile} * params.num_query_tiles + column] = visits++;
      break;
    }
  }
}

}  // namespace

void launch_backward_ranks(const PlanView& plan, int32_t num_query_tiles, int32_t* ranks, cudaStream_t stream) {
  const int32_t blocks = std::max((num_query_tiles + kThreads - 1) / kThreads, 1);
  const RanksParams params{plan, num_query_tiles, ranks};
  launch(ranks_kernel, {blocks, kThreads, stream}, params, "backward ranks");
}

}  // namespace magi::ffa::sm90
