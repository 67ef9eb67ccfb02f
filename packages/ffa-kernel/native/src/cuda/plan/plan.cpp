// The planner's part of the C ABI.
#include <magi/ffa.h>
#include <magi/status.hpp>

#include <algorithm>

#include "../device.hpp"
#include "workspace.hpp"

namespace magi::ffa::plan {
namespace {

constexpr int64_t kMaxExtent = MAGI_FFA_UNBOUNDED - 1;
constexpr int32_t kMaxSlices = 1 << 24;
constexpr uintptr_t kAlignment = 256;

// Room for so many meetings of a band and a row tile: disjoint slices have at most num_slices + num_tiles.
int64_t meetings(int64_t num_slices, int64_t num_tiles) {
  return std::min(num_slices * num_tiles, 4 * (num_slices + num_tiles) + 16384);
}

void check_extent(int32_t value, const char* name) {
  check(value >= 0 && value <= kMaxExtent, "%s: expected 0 to 2^30 - 1 tokens, got %d", name, value);
}

void check_integers(const int32_t* integers, const char* name) {
  check(integers != nullptr, "%s: expected device memory, got NULL", name);
  check(reinterpret_cast<uintptr_t>(integers) % sizeof(int32_t) == 0, "%s: expected an address that is a multiple of 4, got %p",
        name, static_cast<const void*>(integers));
}

// The sizes of a plan, without its memory.
PlanJob sized_job(const MagiFfaPlanArgs& args) {
  check(args.struct_size == static_cast<int64_t>(sizeof(args)), "args: expected a struct of %zu bytes, got %lld", sizeof(args),
        static_cast<long long>(args.struct_size));
  check(args.num_slices >= 0 && args.num_slices <= kMaxSlices, "num_slices: expected 0 to 2^24, got %d", args.num_slices);
  check_extent(args.total_q, "total_q");
  check_extent(args.total_k, "total_k");
  check(args.tile_rows > 0 && args.tile_rows <= kMaxExtent, "tile_rows: expected 1 to 2^30 - 1, got %d", args.tile_rows);
  check(args.tile_cols > 0 && args.tile_cols <= kMaxExtent, "tile_cols: expected 1 to 2^30 - 1, got %d", args.tile_cols);
  PlanJob job{};
  job.num_bands = args.num_slices;
  job.transposed = args.transposed != 0;
  job.num_rows = job.transposed ? args.total_k : args.total_q;
  job.tile_rows = args.tile_rows;
  job.num_tiles = (job.num_rows + job.tile_rows - 1) / job.tile_rows;
  job.grid = {args.tile_cols, job.transposed ? args.total_q : args.total_k, args.align_cols != 0};
  const int64_t room = meetings(job.num_bands, job.num_tiles);
  // About four runs for each band that meets a tile, half of them masked.
  const int64_t run_capacity = 4 * room;
  const int64_t list_capacity = 8 * room;
  check(job.num_bands + list_capacity <= INT32_MAX, "num_slices: too many for %d row tiles: %d", job.num_tiles, job.num_bands);
  job.run_capacity = static_cast<int32_t>(run_capacity);
  job.list_capacity = static_cast<int32_t>(list_capacity);
  return job;
}

void make_plan(const MagiFfaPlanArgs& args, MagiFfaPlan& plan) {
  PlanJob job = sized_job(args);
  if (args.bands != nullptr) {
    check_integers(args.bands, "bands");
    job.given_bands = args.bands;
  } else if (job.num_bands > 0) {
    check_integers(args.q_ranges, "q_ranges");
    check_integers(args.k_ranges, "k_ranges");
    if (args.attn_type_map != nullptr) check_integers(args.attn_type_map, "attn_type_map");
    job.q_ranges = args.q_ranges;
    job.k_ranges = args.k_ranges;
    job.attn_type_map = args.attn_type_map;
  }
  check(args.workspace != nullptr && reinterpret_cast<uintptr_t>(args.workspace) % kAlignment == 0,
        "workspace: expected an address that is a multiple of %d, got %p", static_cast<int>(kAlignment), args.workspace);
  const int64_t size = lay_out(job, args.workspace);
  check(args.workspace_size >= size, "workspace_size: expected at least %lld bytes, got %lld", static_cast<long long>(size),
        static_cast<long long>(args.workspace_size));
  device_info(args.device);
  const DeviceScope scope(args.device);
  enqueue_plan(job, static_cast<cudaStream_t>(args.stream));

  plan = {};
  plan.struct_size = sizeof(MagiFfaPlan);
  plan.bands = reinterpret_cast<const int32_t*>(job.bands);
  plan.tile_order = job.tile_order;
  plan.tile_runs = job.tile_runs;
  plan.runs = reinterpret_cast<const int32_t*>(job.runs);
  plan.run_bands = job.run_bands;
  plan.num_rows = job.num_rows;
  plan.num_cols = job.grid.num_cols;
  plan.tile_rows = job.tile_rows;
  plan.tile_cols = job.grid.tile_cols;
  plan.num_tiles = job.num_tiles;
  plan.num_bands = job.num_bands;
}

}  // namespace
}  // namespace magi::ffa::plan

int64_t magi_ffa_sizeof_plan_args(void) { return sizeof(MagiFfaPlanArgs); }

int32_t magi_ffa_plan_workspace_size(const MagiFfaPlanArgs* args, int64_t* size, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr && size != nullptr, "args, size: expected pointers");
    magi::ffa::plan::PlanJob job = magi::ffa::plan::sized_job(*args);
    *size = magi::ffa::plan::lay_out(job, nullptr);
  });
}

int32_t magi_ffa_plan(const MagiFfaPlanArgs* args, MagiFfaPlan* plan, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr && plan != nullptr, "args, plan: expected pointers");
    magi::ffa::plan::make_plan(*args, *plan);
  });
}
