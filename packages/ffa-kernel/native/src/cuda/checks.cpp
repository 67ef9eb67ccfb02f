#include "checks.hpp"

#include <magi/status.hpp>

#include <algorithm>

#include "../call_checks.hpp"

namespace magi::ffa {
namespace {

// A coordinate plus a bound of a band plus 1 has to fit into 32 bits.
constexpr int64_t kMaxTokens = MAGI_FFA_UNBOUNDED - 1;
// Kernels move 16 bytes at a time.
constexpr uintptr_t kAlignment = 16;

void check_size(int64_t actual, size_t expected, const char* name) {
  check(actual == static_cast<int64_t>(expected), "%s: expected a struct of %zu bytes, got %lld", name, expected,
        static_cast<long long>(actual));
}

void check_extent(int64_t value, const char* name) {
  check(value >= 0 && value <= kMaxTokens, "%s: expected 0 to 2^30 - 1 tokens, got %lld", name, static_cast<long long>(value));
}

// A tensor of `tokens` rows: none needs no memory.
void check_tensor(const void* tensor, int64_t tokens, const char* name) {
  check(tensor != nullptr || tokens == 0, "%s: expected device memory, got NULL", name);
  check(reinterpret_cast<uintptr_t>(tensor) % kAlignment == 0, "%s: expected an address that is a multiple of 16, got %p", name,
        tensor);
}

// float32 values that are moved one by one.
void check_floats(const void* floats, const char* name) {
  check(reinterpret_cast<uintptr_t>(floats) % sizeof(float) == 0, "%s: expected an address that is a multiple of 4, got %p", name,
        floats);
}

template <typename Args>
void check_common(const Args& args) {
  check_extent(args.total_q, "total_q");
  check_extent(args.total_k, "total_k");
  check_dtype(args.dtype);
  check_heads_and_scores(args);
  check(args.sm_margin >= 0, "sm_margin: expected at least 0, got %d", args.sm_margin);
  check_tensor(args.q, args.total_q, "q");
  check_tensor(args.k, args.total_k, "k");
  check_tensor(args.v, args.total_k, "v");
  check_tensor(args.out, args.total_q, "out");
  check(args.lse != nullptr || args.total_q == 0, "lse: expected device memory, got NULL");
  check_floats(args.lse, "lse");
  check_floats(args.sink, "sink");
}

}  // namespace

void check_dtype(int32_t dtype) {
  if (dtype == MAGI_FLOAT32 || dtype == MAGI_FLOAT64) {
    fail(MAGI_UNSUPPORTED, "dtype: expected bfloat16 or float16, got %s: cast the tensors, or use the CPU",
         dtype == MAGI_FLOAT32 ? "float32" : "float64");
  }
  check(dtype == MAGI_BFLOAT16 || dtype == MAGI_FLOAT16, "dtype: expected bfloat16 or float16, got code %d", dtype);
}

void check_forward(const MagiFfaForwardArgs& args) {
  check_size(args.struct_size, sizeof(MagiFfaForwardArgs), "args");
  check_common(args);
  check(args.out_dtype == args.dtype || args.out_dtype == MAGI_FLOAT32, "out_dtype: expected dtype or float32, got code %d",
        args.out_dtype);
  check(args.accumulate == 0 || args.out_dtype == MAGI_FLOAT32, "out_dtype: expected float32 when accumulating");
  check_floats(args.max_logits, "max_logits");
}

void check_backward(const MagiFfaBackwardArgs& args) {
  check_size(args.struct_size, sizeof(MagiFfaBackwardArgs), "args");
  check_common(args);
  check(args.grad_dtype == args.dtype || args.grad_dtype == MAGI_FLOAT32,
        "grad_dtype: expected dtype or float32, got code %d", args.grad_dtype);
  check_tensor(args.grad_out, args.total_q, "grad_out");
  check_tensor(args.grad_q, args.total_q, "grad_q");
  check_tensor(args.grad_k, args.total_k, "grad_k");
  check_tensor(args.grad_v, args.total_k, "grad_v");
  check(args.grad_sink == nullptr || args.sink_tokens > 0, "grad_sink: expected a sink");
  check_floats(args.grad_sink, "grad_sink");
}

PlanView view_plan(const MagiFfaPlan& plan, int64_t num_rows, int64_t num_cols, int32_t tile_rows, int32_t tile_cols) {
  check_size(plan.struct_size, sizeof(MagiFfaPlan), "plan");
  check(plan.num_rows == num_rows && plan.num_cols == num_cols, "plan: made for %d x %d, used for %lld x %lld", plan.num_rows,
        plan.num_cols, static_cast<long long>(num_rows), static_cast<long long>(num_cols));
  check(plan.tile_rows == tile_rows && plan.tile_cols == tile_cols,
        "plan: expected tiles of %d x %d, got %d x %d: ask magi_ffa_tile_sizes with the same kernel", tile_rows, tile_cols,
        plan.tile_rows, plan.tile_cols);
  check(plan.num_tiles == (num_rows + tile_rows - 1) / tile_rows, "plan: wrong number of tiles %d", plan.num_tiles);
  check(plan.num_bands >= 0 && (plan.num_bands == 0 || plan.bands != nullptr), "plan: bands are missing");
  PlanView view{};
  view.num_rows = plan.num_rows;
  view.num_cols = plan.num_cols;
  view.tile_rows = plan.tile_rows;
  view.tile_cols = plan.tile_cols;
  view.num_tiles = plan.num_tiles;
  view.num_bands = plan.num_bands;
  if (plan.tile_runs != nullptr) {
    check(plan.tile_order != nullptr && plan.runs != nullptr && plan.run_bands != nullptr,
          "plan: tile_order, runs or run_bands is missing");
    check(reinterpret_cast<uintptr_t>(plan.runs) % kAlignment == 0, "plan: expected runs at a multiple of 16, got %p",
          static_cast<const void*>(plan.runs));
    view.bands = plan.bands;
    view.tile_order = plan.tile_order;
    view.tile_runs = plan.tile_runs;
    view.runs = plan.runs;
    view.run_bands = plan.run_bands;
    return view;
  }
  check(plan.num_bands <= 1 && plan.tile_order == nullptr && plan.runs == nullptr && plan.run_bands == nullptr,
        "plan: a dense plan has at most one band and no further arrays");
  if (plan.num_bands == 1) {
    const int32_t* b = plan.bands;
    check(0 <= b[0] && b[0] < b[1] && b[1] <= num_rows && 0 <= b[2] && b[2] < b[3] && b[3] <= num_cols,
          "plan: the band leaves the mask");
    check(-MAGI_FFA_UNBOUNDED <= b[4] && b[4] <= b[5] && b[5] <= MAGI_FFA_UNBOUNDED, "plan: the band has no diagonal");
    std::copy_n(b, 6, view.band);
  }
  return view;
}

}  // namespace magi::ffa
