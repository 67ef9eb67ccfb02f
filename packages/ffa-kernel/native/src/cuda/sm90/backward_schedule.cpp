#include <algorithm>

#include "backward_schedule.hpp"
#include "tile_sizes.hpp"

namespace magi::ffa::sm90 {
namespace {

// Q, dO and the sums of dQ of the queries that the blocks work on at a time should stay in L2, which has 50 to 60 MB.
constexpr int64_t kSectionBytes = 32 << 20;
constexpr int64_t kChunkBytes = 16 << 20;

// An item takes a few steps' time more than its steps. This, and what dense_time makes of the longest item, fits eleven dense
// problems of 1 k to 4 k tokens on an H200 best: the numbers of chunks come within 1.5 % of the best ones, on average.
constexpr double kItemSteps = 2;
constexpr int64_t kMinChunkRows = 512;
constexpr int64_t kItemsPerBlock = 4;
constexpr int64_t kMaxBalancedItems = 3;  // a block; where there are more, they balance themselves

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Queries that a key tile of a dense plan sees, about.
int64_t dense_cost(const PlanView& plan, int32_t tile) {
  const int64_t row0 = std::max(tile * plan.tile_rows, plan.band[0]);
  const int64_t row1 = std::min(std::min((tile + 1) * plan.tile_rows, plan.num_rows), plan.band[1]);
  if (row0 >= row1) return 0;
  return std::min<int64_t>(plan.band[3], row1 + plan.band[5]) - std::max<int64_t>(plan.band[2], row0 + plan.band[4]);
}

// How long the items of a dense plan take, in steps, with chunks of so many query tiles; about.
double dense_time(const BackwardParams& params, double tile_steps, int64_t chunk_tiles) {
  const PlanView& plan = params.plan;
  double longest = 0, work = 0;
  int64_t items = 0;
  for (int32_t tile = 0; tile < plan.num_tiles; ++tile) {
    const int64_t span = ceil_div(dense_cost(plan, tile), plan.tile_cols);
    const int64_t pieces = std::max<int64_t>(ceil_div(span, chunk_tiles), 1);
    const double item = static_cast<double>(std::min(span, chunk_tiles)) * tile_steps + kItemSteps;
    longest = std::max(longest, item);
    work += static_cast<double>(span) * tile_steps + static_cast<double>(pieces) * kItemSteps;
    items += pieces * params.num_heads_kv;
  }
  work *= params.num_heads_kv;
  // Each block its own; or items of one length, which come in waves; or the short ones fill the gaps that the long ones leave.
  if (items <= params.num_sms) return longest;
  const double waves = static_cast<double>(ceil_div(items, params.num_sms)) * longest;
  return std::min(waves, work / params.num_sms + 0.5 * longest);
}

// The number of chunks, from `least` on, with which blocks have about the same to do.
int64_t balanced_chunks(const BackwardParams& params, int64_t num_query_tiles, int64_t least) {
  const PlanView& plan = params.plan;
  const int64_t rows = num_query_tiles * plan.tile_cols * params.group_size;
  const int64_t most = rows / kMinChunkRows;
  const int64_t items = std::max<int64_t>(int64_t{plan.num_tiles} * params.num_heads_kv, 1);
  if (items > kMaxBalancedItems * params.num_sms) return least;
  if (plan.tile_runs != nullptr) return std::max(least, std::min(most, ceil_div(kItemsPerBlock * params.num_sms, items)));
  const double tile_steps = static_cast<double>(plan.tile_cols) * params.group_size / backward_query_rows(params.head_dim);
  int64_t best = least;
  double best_time = 0;
  for (int64_t chunks = least; chunks <= std::max(most, least) && chunks < least + 16; ++chunks) {
    const double time = dense_time(params, tile_steps, ceil_div(num_query_tiles, chunks));
    if (chunks > least && time >= best_time) continue;
    best = chunks;
    best_time = time;
  }
  return best;
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
  if (!params.deterministic && num_query_tiles > 0) {
    chunks = balanced_chunks(params, num_query_tiles, ceil_div(num_query_tiles * tile_bytes, kChunkBytes));
  }
  chunks = std::max<int64_t>(std::min<int64_t>(chunks, num_query_tiles), 1);
  schedule.chunk_tiles = static_cast<int32_t>(std::max<int64_t>(ceil_div(num_query_tiles, chunks), 1));
  schedule.num_chunks = static_cast<int32_t>(std::max<int64_t>(ceil_div(num_query_tiles, schedule.chunk_tiles), 1));
  const int64_t heads = kSectionBytes / std::max<int64_t>(schedule.chunk_tiles * tile_bytes, 1);
  schedule.heads_per_section = static_cast<int32_t>(std::clamp<int64_t>(heads, 1, params.num_heads_kv));
  return schedule;
}

}  // namespace magi::ffa::sm90
