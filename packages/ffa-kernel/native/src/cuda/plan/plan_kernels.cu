// The four kernels of the planner: read the bands, count the runs of each row tile, find places and order, write the runs.
// Nothing depends on timing: the same slices give the same plan.
#include "../common/launch.cuh"
#include "run_sinks.hpp"
#include "warp.cuh"

namespace magi::ffa::plan {
namespace {

constexpr int32_t kReadThreads = 256;
constexpr int32_t kTileWarps = 8;  // row tiles of a block, one a warp
constexpr int32_t kTileThreads = kTileWarps * DeviceWarp::kSize;
constexpr int32_t kArrangeWarps = 32;
constexpr int32_t kArrangeThreads = kArrangeWarps * DeviceWarp::kSize;
constexpr int32_t kBuckets = 256;  // of costs

__global__ void __launch_bounds__(kReadThreads) read_bands(const PlanJob job) {
  const int32_t i = static_cast<int32_t>(blockIdx.x * kReadThreads + threadIdx.x);
  if (i == 0) *job.header = {0, job.num_tiles};
  if (i >= job.num_bands) return;
  WideBand wide;
  if (job.given_bands != nullptr) {
    const int32_t* const given = job.given_bands + 6 * static_cast<int64_t>(i);
    wide = {given[0], given[1], given[2], given[3], given[4], given[5]};
  } else {
    const int64_t at = 2 * static_cast<int64_t>(i);
    const int32_t code = job.attn_type_map == nullptr ? 0 : job.attn_type_map[i];
    wide = slice_band(job.q_ranges[at], job.q_ranges[at + 1], job.k_ranges[at], job.k_ranges[at + 1], code);
  }
  if (job.transposed) wide = transpose(wide);
  const Band band = clip_band(wide, job.num_rows, job.grid.num_cols);
  job.bands[i] = band;
  job.rows[i][0] = band.row0;
  job.rows[i][1] = band.row1;
  job.run_bands[i] = i;
}

struct WarpSpace {
  TileBands tile;
  Intervals full;
  Intervals other;
};

__device__ int32_t row_of_tile(const PlanJob& job, int64_t tile) {
  const int64_t row = tile * job.tile_rows;
  return static_cast<int32_t>(row < job.num_rows ? row : job.num_rows);
}

__global__ void __launch_bounds__(kTileThreads, 4) count_runs(const PlanJob job) {
  __shared__ WarpSpace spaces[kTileWarps];
  __shared__ int32_t range[2];
  const int32_t first_tile = static_cast<int32_t>(blockIdx.x) * kTileWarps;
  const int32_t tile_index = first_tile + static_cast<int32_t>(threadIdx.x) / DeviceWarp::kSize;
  if (threadIdx.x == 0) {
    range[0] = kNone;
    range[1] = 0;
  }
  __syncthreads();

  // Where slices come in order, few of them concern these tiles: the block finds out together.
  const int32_t block_begin = row_of_tile(job, first_tile);
  const int32_t block_end = row_of_tile(job, int64_t{first_tile} + kTileWarps);
  int32_t first = kNone;
  int32_t end = 0;
#pragma unroll 4
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < job.num_bands; i += kTileThreads) {
    const int2 rows = *reinterpret_cast<const int2*>(job.rows[i]);
    const bool meets = rows.x < block_end && rows.y > block_begin;
    first = min_of(first, meets ? i : kNone);
    end = max_of(end, meets ? i + 1 : 0);
  }
  first = DeviceWarp::min(first);
  end = DeviceWarp::max(end);
  if (DeviceWarp::lane() == 0) {
    atomicMin(&range[0], first);
    atomicMax(&range[1], end);
  }
  __syncthreads();
  if (tile_index >= job.num_tiles) return;

  WarpSpace& space = spaces[threadIdx.x / DeviceWarp::kSize];
  const TileScope scope =
      collect_bands<DeviceWarp>(job.bands, job.rows, range[0], range[1], row_of_tile(job, tile_index),
                                row_of_tile(job, int64_t{tile_index} + 1), space.tile);
  const TileCounts counts = count_tile<DeviceWarp>(job, scope, space.tile, space.full, space.other);
  if (DeviceWarp::lane() == 0) {
    job.counts[tile_index] = counts;
    job.met[tile_index][0] = scope.first_band;
    job.met[tile_index][1] = scope.end_band;
    atomicMax(&job.header->max_cost, counts.cost);
  }
}

// Dearest first.
__device__ int32_t bucket_of(int32_t cost, int32_t max_cost) {
  if (max_cost < kBuckets) return kBuckets - 1 - cost;
  return static_cast<int32_t>(int64_t{max_cost - cost} * kBuckets / (int64_t{max_cost} + 1));
}

// One block: the places of all runs and lists, and the order of the tiles, stable within a bucket of costs.
__global__ void __launch_bounds__(kArrangeThreads) arrange_tiles(const PlanJob job) {
  __shared__ int32_t buckets[kArrangeWarps][kBuckets];
  __shared__ int64_t run_sums[kArrangeWarps];
  __shared__ int64_t list_sums[kArrangeWarps];
  __shared__ int32_t some_sums[kArrangeWarps];  // tiles with a run
  __shared__ int32_t scan_sums[kArrangeWarps];
  __shared__ int32_t first_unfit;
  using Warp = DeviceWarp;
  const int32_t thread = static_cast<int32_t>(threadIdx.x);
  const int32_t warp = thread / Warp::kSize;
  const int32_t lane = Warp::lane();
  const int32_t num_tiles = job.num_tiles;
  const int32_t max_cost = job.header->max_cost;
  // Each warp has tiles of its own, in order.
  const int32_t share = (num_tiles + kArrangeThreads - 1) / kArrangeThreads * Warp::kSize;
  const int32_t share_begin = min_of(warp * share, num_tiles);
  const int32_t share_end = min_of(share_begin + share, num_tiles);

  for (int32_t i = thread; i < kArrangeWarps * kBuckets; i += kArrangeThreads) buckets[i / kBuckets][i % kBuckets] = 0;
  if (thread == 0) first_unfit = num_tiles;
  __syncthreads();

  int64_t runs = 0;
  int64_t list = 0;
  int32_t some = 0;
#pragma unroll 2
  for (int32_t tile = share_begin + lane; tile < share_end; tile += Warp::kSize) {
    const TileCounts counts = job.counts[tile];
    runs += counts.num_runs;
    list += counts.num_list;
    some += counts.num_runs > 0 ? 1 : 0;
    atomicAdd(&buckets[warp][bucket_of(counts.cost, max_cost)], 1);
  }
  runs = Warp::sum(runs);
  list = Warp::sum(list);
  some = static_cast<int32_t>(Warp::sum(some));
  if (lane == 0) {
    run_sums[warp] = runs;
    list_sums[warp] = list;
    some_sums[warp] = some;
  }
  __syncthreads();

  // Buckets: the count of each becomes its first place; by bucket, then by warp.
  constexpr int32_t kEach = kArrangeWarps * kBuckets / kArrangeThreads;
  constexpr int32_t kThreadsOfBucket = kArrangeWarps / kEach;
  const int32_t bucket = thread / kThreadsOfBucket;
  const int32_t first_warp = thread % kThreadsOfBucket * kEach;
  int32_t own = 0;
  for (int32_t i = 0; i < kEach; ++i) own += buckets[first_warp + i][bucket];
  const int32_t upto = static_cast<int32_t>(Warp::scan(own));
  if (lane == Warp::kSize - 1) scan_sums[warp] = upto;
  __syncthreads();
  int32_t place = static_cast<int32_t>(Warp::sum(lane < warp ? scan_sums[lane] : 0)) + upto - own;
  for (int32_t i = 0; i < kEach; ++i) {
    const int32_t count = buckets[first_warp + i][bucket];
    buckets[first_warp + i][bucket] = place;
    place += count;
  }
  __syncthreads();

  runs = Warp::sum(lane < warp ? run_sums[lane] : 0);
  list = Warp::sum(lane < warp ? list_sums[lane] : 0);
  some = static_cast<int32_t>(Warp::sum(lane < warp ? some_sums[lane] : 0));
  for (int32_t base = share_begin; base < share_end; base += Warp::kSize) {
    const int32_t tile = base + lane;
    const bool exists = tile < share_end;
    const TileCounts counts = exists ? job.counts[tile] : TileCounts{0, 0, 0, 0};
    const int64_t runs_upto = runs + Warp::scan(counts.num_runs);
    const int64_t list_upto = list + Warp::scan(counts.num_list);
    const uint32_t with_runs = Warp::ballot(counts.num_runs > 0);
    // Monotonous: if one tile does not fit, none behind it does.
    const bool fits = runs_upto <= job.run_capacity && list_upto <= job.list_capacity;
    const int32_t key = exists ? bucket_of(counts.cost, max_cost) : kBuckets;
    const uint32_t alike = __match_any_sync(Warp::kAll, key);
    if (exists) {
      job.tile_order[buckets[warp][key] + Warp::rank(alike)] = tile;
      job.tile_runs[tile] = fits ? static_cast<int32_t>(runs_upto - counts.num_runs) : 0;
      // An unfit tile needs no list; until the end of this kernel it keeps its number among the tiles with a run here.
      job.list_begin[tile] =
          fits ? job.num_bands + static_cast<int32_t>(list_upto - counts.num_list) : some + Warp::rank(with_runs);
      if (!fits) atomicMin(&first_unfit, tile);
    }
    Warp::sync();
    if (exists && Warp::rank(alike) == 0) buckets[warp][key] += Warp::count(alike);
    Warp::sync();
    runs = __shfl_sync(Warp::kAll, runs_upto, Warp::kSize - 1);
    list = __shfl_sync(Warp::kAll, list_upto, Warp::kSize - 1);
    some += Warp::count(with_runs);
  }
  __syncthreads();

  const int32_t unfit = first_unfit;
  const bool is_last = warp == kArrangeWarps - 1 && lane == 0;
  if (unfit == num_tiles) {
    if (is_last) job.tile_runs[num_tiles] = static_cast<int32_t>(runs);
    return;
  }
  // The runs before the first unfit tile end here.
  const int32_t begin = unfit == 0 ? 0 : job.tile_runs[unfit - 1] + job.counts[unfit - 1].num_runs;
  const int32_t some_before = job.list_begin[unfit];
  for (int32_t tile = max_of(share_begin, unfit) + lane; tile < share_end; tile += Warp::kSize) {
    job.tile_runs[tile] = begin + job.list_begin[tile] - some_before;
  }
  if (is_last) {
    job.tile_runs[num_tiles] = begin + some - some_before;
    job.header->first_unfit = unfit;
  }
}

__global__ void __launch_bounds__(kTileThreads, 4) write_runs(const PlanJob job) {
  __shared__ WarpSpace spaces[kTileWarps];
  const int32_t warp = static_cast<int32_t>(threadIdx.x) / DeviceWarp::kSize;
  const int32_t tile_index = static_cast<int32_t>(blockIdx.x) * kTileWarps + warp;
  if (tile_index >= job.num_tiles) return;
  const TileCounts counts = job.counts[tile_index];
  if (counts.num_runs == 0) return;
  WarpSpace& space = spaces[warp];
  const TileScope scope = collect_bands<DeviceWarp>(
      job.bands, job.rows, job.met[tile_index][0], job.met[tile_index][1], row_of_tile(job, tile_index),
      row_of_tile(job, int64_t{tile_index} + 1), space.tile);
  const int32_t run_begin = job.tile_runs[tile_index];
  if (tile_index >= job.header->first_unfit) {
    write_unfit_tile<DeviceWarp>(job, scope, run_begin);
  } else {
    write_tile<DeviceWarp>(job, scope, space.tile, counts.num_masked, run_begin, job.list_begin[tile_index], space.full,
                           space.other);
  }
}

}  // namespace

void enqueue_plan(const PlanJob& job, cudaStream_t stream) {
  const int32_t read_blocks = max_of(ceil_div(job.num_bands, kReadThreads), 1);
  const int32_t tile_blocks = ceil_div(job.num_tiles, kTileWarps);
  constexpr const char* kWhat = "planning on the device";
  launch(read_bands, {read_blocks, kReadThreads, stream}, job, kWhat);
  launch(count_runs, {tile_blocks, kTileThreads, stream}, job, kWhat);
  launch(arrange_tiles, {1, kArrangeThreads, stream}, job, kWhat);
  launch(write_runs, {tile_blocks, kTileThreads, stream}, job, kWhat);
}

}  // namespace magi::ffa::plan
