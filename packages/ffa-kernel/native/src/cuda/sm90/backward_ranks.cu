#include "backward_ranks.cuh"

#include <algorithm>

#include "backward_launch.cuh"
#include "backward_runs.cuh"

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
    const BackwardRuns runs(params.plan, tile);
    for (int32_t i = 0; i < runs.count(); ++i) {
      const BackwardRun run = runs.at(i);
      if (column < run.begin || column >= run.end) continue;
      params.ranks[int64_t{tile} * params.num_query_tiles + column] = visits++;
      break;
    }
  }
}

}  // namespace

void launch_backward_ranks(const PlanView& plan, int32_t num_query_tiles, int32_t* ranks, cudaStream_t stream) {
  const int32_t blocks = std::max((num_query_tiles + kThreads - 1) / kThreads, 1);
  launch(ranks_kernel, {blocks, kThreads, 0, stream, false}, RanksParams{plan, num_query_tiles, ranks}, "backward ranks");
}

}  // namespace magi::ffa::sm90
