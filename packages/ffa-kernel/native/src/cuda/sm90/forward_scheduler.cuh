// The warp that hands out work: claims items in order of falling cost and reads their runs from the plan, ahead of the
// warps that load and compute.
#ifndef MAGI_FFA_SM90_FORWARD_SCHEDULER_CUH
#define MAGI_FFA_SM90_FORWARD_SCHEDULER_CUH

#include "../common/dense_runs.cuh"
#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// Which row tile and head an item is. Heads whose keys fit into L2 together make a section; inside of it the costliest row
// tiles come first, and the heads of one tile together.
__device__ __forceinline__ void locate_item(const ForwardKernelParams& params, int index, int& tile, int& head) {
  const int section_items = params.plan.num_tiles * params.section_heads;
  const int section = index / section_items;
  const int rest = index - section * section_items;
  const int first_head = section * params.section_heads;
  const int heads = min(params.section_heads, params.num_row_heads - first_head);
  const int position = rest / heads;
  head = first_head + rest - position * heads;
  if (params.plan.tile_order != nullptr) tile = __ldg(params.plan.tile_order + position);
  else tile = params.dense_descending ? params.plan.num_tiles - 1 - position : position;
}

template <int kTileCols>
__device__ inline void describe_item(const ForwardKernelParams& params, int lane, int tile, int head, ForwardItem& item) {
  const PlanView& plan = params.plan;
  int run_begin = 0, num_tiles = 0, num_masked = 0;
  int tail_run = kNoRun;
  int4 run = make_int4(0, 0, 0, 0);

  const auto count_run = [&](const int4& r, int index) {
    num_tiles += r.y;
    const bool has_tail = r.y > 0 && r.x + r.y * plan.tile_cols > plan.num_cols;
    const int masked = r.w > 0 ? r.y : has_tail ? 1 : 0;
    num_masked += masked;
    if (r.w == 0 && has_tail) tail_run = index;
  };
  if (plan.tile_runs == nullptr) {
    // Masked tiles first. Runs may be empty.
    const DenseRuns dense = dense_runs<kTileCols>(plan, tile, false);
    const int4 before = make_int4(dense.col_begin, dense.first_full, kDenseBand, 1);
    const int after_begin = dense.col_begin + dense.end_full * plan.tile_cols;
    const int4 after = make_int4(after_begin, dense.num_tiles - dense.end_full, kDenseBand, 1);
    const int4 full = make_int4(dense.col_begin + dense.first_full * plan.tile_cols, dense.end_full - dense.first_full, 0, 0);
    count_run(before, 0);
    count_run(after, 1);
    count_run(full, 2);
    run = lane == 0 ? before : lane == 1 ? after : full;
  } else {
    run_begin = __ldg(plan.tile_runs + tile);
    const int num_runs = __ldg(plan.tile_runs + tile + 1) - run_begin;
    for (int base = 0; base < num_runs; base += 32) {
      int4 r = make_int4(0, 0, 0, 1);
      if (base + lane < num_runs) r = __ldg(reinterpret_cast<const int4*>(plan.runs) + run_begin + base + lane);
      if (base == 0) run = r;
      count_run(r, base + lane);
    }
    num_tiles = __reduce_add_sync(0xffffffff, num_tiles);
    num_masked = __reduce_add_sync(0xffffffff, num_masked);
    tail_run = __reduce_max_sync(0xffffffff, tail_run);
  }
  if (lane < kInlineRuns) item.runs[lane] = run;
  if (lane == 0) {
    item.tile = tile;
    item.head = head;
    item.num_tiles = num_tiles;
    item.num_masked = num_masked;
    item.run_begin = run_begin;
    item.tail_run = tail_run;
  }
}

// Publishes what an item slot holds. Claims are made as late as possible, into an empty slot: what one block has claimed, no
// other can take from it.
template <typename Shape>
class ItemSlots {
 public:
  __device__ ItemSlots(ForwardShared<Shape>& shared, int lane) : shared_(shared), lane_(lane) {}

  __device__ __forceinline__ ForwardItem& wait() {
    barrier_wait(&shared_.item_empty[slot_.stage], slot_.phase ^ 1);
    return shared_.items[slot_.stage];
  }

  __device__ __forceinline__ void publish() {
    __syncwarp();
    if (lane_ == 0) barrier_arrive(&shared_.item_full[slot_.stage]);
    slot_.advance();
  }

  __device__ __forceinline__ void publish_signal(int32_t signal) {
    ForwardItem& item = wait();
    if (lane_ == 0) {
      item.tile = signal;
      item.num_tiles = 0;
    }
    publish();
  }

 private:
  ForwardShared<Shape>& shared_;
  int lane_;
  RingPosition<Shape::kItemStages> slot_;
};

template <typename Shape>
__device__ void schedule_items(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int lane) {
  constexpr int kAllWarpgroups = (1 << Shape::kConsumers) - 1;
  const int num_items = params.plan.num_tiles * params.num_row_heads;
  const volatile int32_t& num_retries = shared.num_retries;
  ItemSlots<Shape> slots(shared, lane);
  bool first = true;
  bool all_claimed = false;
  int num_again = 0;  // of the retries, those that are not published yet
  uint32_t flushed_phase = 0;

  while (true) {
    if (num_again == 0) {
      // A vote: consumers may be counting just now, and all lanes have to come to one decision.
      if (Shape::kStaleMaximum && (all_claimed || __any_sync(0xffffffff, num_retries > kManyRetries))) {
        // Only when all that was begun is flushed is it known what has to be done again.
        slots.publish_signal(kFlush);
        barrier_wait(&shared.flushed, flushed_phase);
        flushed_phase ^= 1;
        num_again = num_retries;
        __syncwarp();
        if (lane == 0) shared.num_retries = 0;
      }
      if (all_claimed && num_again == 0) break;
    }

    ForwardItem& item = slots.wait();
    int tile, head, warpgroups;
    const bool exact = num_again > 0;  // comes out right with exact maxima
    if (exact) {
      const RetryItem retry = shared.retries[--num_again];
      tile = retry.tile;
      head = retry.head;
      warpgroups = 1 << retry.warpgroup;
    } else {
      int index = blockIdx.x;
      if (!first) {
        if (lane == 0) index = static_cast<int>(gridDim.x) + atomicAdd(params.counters, 1);
        index = __shfl_sync(0xffffffff, index, 0);
      }
      first = false;
      all_claimed = index >= num_items;
      if (all_claimed) {
        // The last block that claims leaves the counters as the next launch expects them.
        if (lane == 0 && atomicAdd(params.counters + 1, 1) == static_cast<int>(gridDim.x) - 1) {
          params.counters[0] = 0;
          params.counters[1] = 0;
        }
        __syncwarp();
        continue;
      }
      locate_item(params, index, tile, head);
      warpgroups = kAllWarpgroups;
    }
    describe_item<Shape::kCols>(params, lane, tile, head, item);
    if (lane == 0) {
      item.exact = exact || params.exact_maxima;
      item.warpgroups = static_cast<int16_t>(warpgroups);
    }
    slots.publish();
  }
  slots.publish_signal(kEnd);
}

}  // namespace magi::ffa::sm90

#endif
