#include <algorithm>

#include "backward_schedule.hpp"

namespace magi::ffa::sm90 {
namespace {

// Q, dO and the sums of dQ of the queries that the blocks work on at a time should stay in L2, which has 50 to 60 MB.
constexpr int64_t kSectionBytes = 32 << 20;
constexpr int64_t kChunkBytes = 16 << 20;

// An item takes a few steps' time more than its steps.
constexpr int64_t kMinChunkRows = 1024;
constexpr int64_t kDenseItemsPerBlock = 8;
constexpr int64_t kSparseItemsPerBlock = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Steps of a key tile of a dense plan, about.
int64_t dense_cost(const PlanView& plan, int32_t tile) {
  const int64_t row0 = std::max(tile * plan.tile_rows, plan.band[0]);
  const int64_t row1 = std::min(std::min((tile + 1) * plan.tile_rows, plan.num_rows), plan.band[1]);
  if (row0 >= row1) return 0;
  return std::min<int64_t>(plan.band[3], row1 + plan.band[5]) - std::max<int64_t>(plan.band[2], row0 + plan.band[4]);
}

}  // namespace

BackwardSchedule backward_schedule(const BackwardParams& params, int32_t num_query_tiles) {
  const PlanView& plan = params.plan;
  BackwardSchedule schedule{};
  schedule.num_heads = params.num_heads_kv;
  const bool dense = plan.tile_runs == nullptr;
  schedule.reverse_tiles =
      dense && plan.num_bands > 0 && dense_cost(plan, 0) < dense_cost(plan, std::max(plan.num_tiles - 1, 0));

  // Chunks of the queries balance a few long key tiles, and keep the queries of long sequences in L2. The order of the sums of
  // dK and dV is then open.
  const int64_t tile_bytes = int64_t{plan.tile_cols} * params.group_size * params.head_dim * 8;
  int64_t chunks = 1;
  if (!params.deterministic) {
    const int64_t items = std::max<int64_t>(int64_t{plan.num_tiles} * params.num_heads_kv, 1);
    const int64_t rows = int64_t{num_query_tiles} * plan.tile_cols * params.group_size;
    const int64_t to_balance = ceil_div((dense ? kDenseItemsPerBlock : kSparseItemsPerBlock) * params.num_sms, items);
    chunks = std::max(std::min(to_balance, rows / kMinChunkRows), ceil_div(num_query_tiles * tile_bytes, kChunkBytes));
  }
  chunks = std::max<int64_t>(std::min<int64_t>(chunks, num_query_tiles), 1);
  schedule.chunk_tiles = static_cast<int32_t>(std::max<int64_t>(ceil_div(num_query_tiles, chunks), 1));
  schedule.num_chunks = static_cast<int32_t>(std::max<int64_t>(ceil_div(num_query_tiles, schedule.chunk_tiles), 1));
  const int64_t heads = kSectionBytes / std::max<int64_t>(schedule.chunk_tiles * tile_bytes, 1);
  schedule.heads_per_section = static_cast<int32_t>(std::clamp<int64_t>(heads, 1, params.num_heads_kv));
  return schedule;
}

}  // namespace magi::ffa::sm90
