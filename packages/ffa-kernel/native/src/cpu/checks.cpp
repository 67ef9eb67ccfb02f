#include "checks.hpp"

#include <magi/status.hpp>

#include <algorithm>
#include <vector>

#include "../call_checks.hpp"
#include "job.hpp"

namespace magi::ffa {
namespace {

constexpr int64_t kMaxTokens = MAGI_FFA_UNBOUNDED;

void check_extent(int64_t value, const char* name) {
  check(value >= 0 && value <= kMaxTokens, "%s: expected 0 to 2^30 tokens, got %lld", name, static_cast<long long>(value));
}

template <typename Args>
void check_common(const Args& args) {
  check_extent(args.total_q, "total_q");
  check_extent(args.total_k, "total_k");
  check_dtype(args.dtype, "dtype");
  check_heads_and_scores(args);
  check(args.num_threads >= 0, "num_threads: expected at least 0, got %d", args.num_threads);
  const bool has_queries = args.total_q > 0;
  const bool has_keys = args.total_k > 0;
  check(!has_queries || (args.q != nullptr && args.out != nullptr && args.lse != nullptr), "q, out, lse: expected pointers");
  check(!has_keys || (args.k != nullptr && args.v != nullptr), "k, v: expected pointers");
}

}  // namespace

void check_dtype(int32_t dtype, const char* name) {
  check(dtype == MAGI_FLOAT32 || dtype == MAGI_BFLOAT16 || dtype == MAGI_FLOAT16,
        "%s: expected float32, bfloat16 or float16, got code %d", name, dtype);
}

void check_forward(const MagiFfaForwardArgs& args) {
  check(args.struct_size == sizeof(MagiFfaForwardArgs), "args: expected %zu bytes, got %lld", sizeof(MagiFfaForwardArgs),
        static_cast<long long>(args.struct_size));
  check_common(args);
  check(args.out_dtype == args.dtype || args.out_dtype == MAGI_FLOAT32, "out_dtype: expected dtype or float32, got code %d",
        args.out_dtype);
  check(args.accumulate == 0 || args.out_dtype == MAGI_FLOAT32, "out_dtype: expected float32 when accumulating");
}

void check_backward(const MagiFfaBackwardArgs& args) {
  check(args.struct_size == sizeof(MagiFfaBackwardArgs), "args: expected %zu bytes, got %lld", sizeof(MagiFfaBackwardArgs),
        static_cast<long long>(args.struct_size));
  check_common(args);
  check(args.grad_dtype == args.dtype || args.grad_dtype == MAGI_FLOAT32,
        "grad_dtype: expected dtype or float32, got code %d", args.grad_dtype);
  check(args.total_q == 0 || (args.grad_out != nullptr && args.grad_q != nullptr), "grad_out, grad_q: expected pointers");
  check(args.total_k == 0 || (args.grad_k != nullptr && args.grad_v != nullptr), "grad_k, grad_v: expected pointers");
  check(args.grad_sink == nullptr || args.sink_tokens > 0, "grad_sink: expected a sink");
}

int check_plan(const MagiFfaPlan& plan, int64_t num_rows, int64_t num_cols, int32_t tile_rows) {
  check(plan.struct_size == sizeof(MagiFfaPlan), "plan: expected %zu bytes, got %lld", sizeof(MagiFfaPlan),
        static_cast<long long>(plan.struct_size));
  check(plan.num_rows == num_rows && plan.num_cols == num_cols, "plan: made for %d x %d, used for %lld x %lld", plan.num_rows,
        plan.num_cols, static_cast<long long>(num_rows), static_cast<long long>(num_cols));
  check(plan.tile_rows == tile_rows && plan.tile_cols == kTileCols, "plan: expected tiles of %d x %d, got %d x %d", tile_rows,
        kTileCols, plan.tile_rows, plan.tile_cols);
  check(plan.num_tiles == (num_rows + tile_rows - 1) / tile_rows, "plan: wrong number of tiles %d", plan.num_tiles);
  check(plan.num_bands >= 0 && (plan.num_bands == 0 || plan.bands != nullptr), "plan: bands are missing");
  for (int64_t i = 0; i < plan.num_bands; ++i) {
    const int32_t* b = plan.bands + 6 * i;
    check(0 <= b[0] && b[0] <= b[1] && b[1] <= num_rows && 0 <= b[2] && b[2] <= b[3] && b[3] <= num_cols,
          "plan: band %lld leaves the mask", static_cast<long long>(i));
  }
  if (plan.tile_runs == nullptr) {
    check(plan.num_bands <= 1 && plan.tile_order == nullptr, "plan: a dense plan has at most one band and no order");
    return 1;
  }
  check(plan.tile_order != nullptr, "plan: tile_order is missing");
  std::vector<bool> seen(static_cast<size_t>(plan.num_tiles));
  for (int32_t i = 0; i < plan.num_tiles; ++i) {
    const int32_t tile = plan.tile_order[i];
    check(tile >= 0 && tile < plan.num_tiles && !seen[static_cast<size_t>(tile)], "plan: tile_order is no permutation");
    seen[static_cast<size_t>(tile)] = true;
    check(plan.tile_runs[i] <= plan.tile_runs[i + 1] && plan.tile_runs[i] >= 0, "plan: tile_runs do not ascend");
  }
  const int32_t num_runs = plan.num_tiles > 0 ? plan.tile_runs[plan.num_tiles] : 0;
  check(num_runs == 0 || plan.runs != nullptr, "plan: runs are missing");
  int max_bands = 1;
  for (int32_t i = 0; i < num_runs; ++i) {
    const int32_t* run = plan.runs + 4 * static_cast<int64_t>(i);
    check(run[0] >= 0 && run[0] % kTileCols == 0 && run[1] > 0 &&
              run[0] + (static_cast<int64_t>(run[1]) - 1) * kTileCols < num_cols,
          "plan: run %d leaves the grid", i);
    check(run[3] >= 0 && (run[3] == 0 || (run[2] >= 0 && plan.run_bands != nullptr)), "plan: run %d has no bands", i);
    for (int32_t j = 0; j < run[3]; ++j) {
      const int32_t band = plan.run_bands[run[2] + j];
      check(band >= 0 && band < plan.num_bands, "plan: run %d names band %d", i, band);
    }
    max_bands = std::max(max_bands, run[3]);
  }
  return max_bands;
}

}  // namespace magi::ffa
