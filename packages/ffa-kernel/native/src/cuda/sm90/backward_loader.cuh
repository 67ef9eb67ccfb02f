// The warps that bring in what a backward step reads. One claims the work items and loads keys and queries, the other one
// values and gradients of the output: each walks through the steps at its own pace.
#ifndef MAGI_FFA_SM90_BACKWARD_LOADER_CUH
#define MAGI_FFA_SM90_BACKWARD_LOADER_CUH

#include "backward_config.cuh"
#include "backward_runs.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

// What a position in the schedule stands for; num_steps are still to be counted.
__device__ inline BackwardItem backward_item(const BackwardItemList& items, int32_t num_heads, int32_t position) {
  const int32_t count = items.header->count, section_heads = items.header->heads_per_section;
  const int32_t section = position / (section_heads * count);
  const int32_t rest = position - section * section_heads * count;
  const int32_t first_head = section * section_heads;
  const int32_t heads = min(section_heads, num_heads - first_head);
  const int32_t index = rest / heads;
  const int4 entry = items.entries[index];
  return {entry.x >> 1, first_head + rest - index * heads, 0, (entry.x & 1) != 0, entry.y, entry.z, entry.w};
}

// Run by a whole warp, with few registers: items are read from shared memory where they are needed.
template <typename Config, bool kIsQuery>
class BackwardLoader {
 public:
  __device__ __forceinline__ BackwardLoader(const BackwardKernelParams& params, BackwardStorage<Config>& storage)
      : params_(params), storage_(storage) {}

  __device__ __forceinline__ void run() {
    if constexpr (kIsQuery) {
      // With turns, an item that others wait for must not belong to a block that has no multiprocessor yet.
      int32_t position = params_.turns != nullptr ? claim(0) : blockIdx.x;
      const int32_t claimed_before = params_.turns != nullptr ? 0 : gridDim.x;
      const int32_t num_items = params_.items.header->count * params_.num_heads_kv;
      while (position < num_items) {
        BackwardItem item = backward_item(params_.items, params_.num_heads_kv, position);
        item.num_steps = count_steps(item);
        // Without steps there is something to do only for the one who writes the gradients of these keys.
        if (item.num_steps > 0 || !item.is_partial) {
          load_item(announce(item));
        }
        position = claim(claimed_before);
      }
      announce({BackwardItem::kEnd});
    } else {
      for (;;) {
        barrier_wait(&storage_.item_full[item_.stage], item_.phase);
        const BackwardItem& item = storage_.items[item_.stage];
        if (item.tile == BackwardItem::kEnd) return;
        load_item(item);
        __syncwarp();
        if (elect_one()) barrier_arrive(&storage_.item_empty[item_.stage]);
        item_.advance();
      }
    }
  }

 private:
  static constexpr int kStages = kIsQuery ? Config::kQueryStages : Config::kGradStages;

  // The next position in the schedule; the first ones may have been handed out without the counter.
  __device__ __forceinline__ int32_t claim(int32_t claimed_before) {
    int32_t position = 0;
    if (threadIdx.x % 32 == 0) position = claimed_before + atomicAdd(params_.next_item, 1);
    return __shfl_sync(0xFFFFFFFFu, position, 0);
  }

  // Where it is in shared memory until the next but one is announced.
  __device__ __forceinline__ const BackwardItem& announce(const BackwardItem& item) {
    BackwardItem& slot = storage_.items[item_.stage];
    barrier_wait(&storage_.item_empty[item_.stage], item_.phase ^ 1);
    if (elect_one()) {
      slot = item;
      barrier_arrive(&storage_.item_full[item_.stage]);
    }
    __syncwarp();
    item_.advance();
    return slot;
  }

  __device__ __forceinline__ int32_t cols_shift() const { return kRowsShift - params_.packed_shift; }

  __device__ __forceinline__ RunList runs_of(int32_t tile) {
    return find_runs(params_.plan, tile, storage_.dense_runs[kIsQuery ? 0 : 1]);
  }

  __device__ __forceinline__ int32_t count_steps(const BackwardItem& item) {
    const RunList list = runs_of(item.tile);
    int32_t steps = 0;
    for (int32_t i = threadIdx.x % 32; i < list.count; i += 32) {
      const int4 run = list.runs[i];
      const int32_t begin = run.x >> cols_shift();
      steps += max(min(begin + run.y, item.query_end) - max(begin, item.query_begin), 0);
    }
    return __reduce_add_sync(0xFFFFFFFFu, steps) * params_.heads_per_group;
  }

  __device__ __forceinline__ void load_item(const BackwardItem& item) {
    if (item.num_steps == 0) return;
    const RunList list = runs_of(item.tile);
    const bool short_tile = (item.tile + 1) * Config::kKeyRows > params_.total_k;
    bool keys_are_due = true;
    for (int32_t h = 0; h < params_.heads_per_group; ++h) {
      const int32_t head = item.head * params_.heads_per_group + h;
      int32_t lower = item.query_begin, upper = item.query_start;
      for (int part = 0; part < 2; ++part) {
        for (int32_t i = list.count - 1; i >= 0; --i) {
          const int4 run = list.runs[i];
          const int32_t first = run.x >> cols_shift();
          const int32_t begin = max(first, lower);
          int32_t tile = min(first + run.y, upper);
          if (tile <= begin) continue;
          const int32_t bands = run.w == 0 && !short_tile ? BackwardStep::kUnmasked : run.w;
          if (kIsQuery && run.w > 0) announce_run(run);
          while (--tile >= begin) {
            load_rows(head, tile, bands);
            // The first rows are on their way before the keys of the item before have been used up.
            if (keys_are_due) load_keys(item);
            keys_are_due = false;
          }
        }
        lower = item.query_start;
        upper = item.query_end;
      }
    }
  }

  // A run with a mask and with steps, so that its place is free again when its turn comes.
  __device__ __forceinline__ void announce_run(const int4& run) {
    run_slot_ = run_slot_ + 1 == Config::kRunSlots ? 0 : run_slot_ + 1;
    BackwardRunBands& target = storage_.runs[run_slot_];
    const int lane = threadIdx.x % 32;
    const int index = lane / BackwardRunBands::kInts, field = lane % BackwardRunBands::kInts;
    if (index < min(run.w, BackwardRunBands::kCount)) {
      const bool dense = params_.plan.tile_runs == nullptr;
      target.bands[index][field] =
          dense ? params_.plan.band[field]
                : params_.plan.bands[BackwardRunBands::kInts * params_.plan.run_bands[run.z + index] + field];
    }
    if (lane == 0) target.begin = run.z;
    __syncwarp();
  }

  __device__ __forceinline__ void load_keys(const BackwardItem& item) {
    barrier_wait(&storage_.keys_empty, key_phase_ ^ 1);
    key_phase_ ^= 1;
    uint64_t* full = kIsQuery ? &storage_.keys_full : &storage_.values_full;
    if (elect_one()) {
      barrier_arrive_expect(full, Config::kKeyTileBytes);
      tma_load(kIsQuery ? storage_.k : storage_.v, kIsQuery ? &params_.k_map : &params_.v_map, full, kEvictNormal, 0,
               item.tile * Config::kKeyRows, 0, item.head);
    }
  }

  // A query tile's rows of Q and lse, or of dO and delta.
  __device__ __forceinline__ void load_rows(int32_t head, int32_t tile, int32_t band_count) {
    const int32_t token = tile << cols_shift();
    const int32_t index = head * params_.num_query_tiles + tile;
    constexpr uint32_t kRowBytes = Config::kQueryRows * sizeof(float);
    const int stage = rows_.stage;
    uint64_t* full = kIsQuery ? &storage_.query_full[stage] : &storage_.grad_full[stage];
    barrier_wait(kIsQuery ? &storage_.query_empty[stage] : &storage_.grad_empty[stage], rows_.phase ^ 1);
    if (elect_one()) {
      if constexpr (kIsQuery) storage_.steps[stage] = {token, index, run_slot_, band_count};
      barrier_arrive_expect(full, Config::kQueryTileBytes + kRowBytes);
      tma_load(kIsQuery ? storage_.q[stage] : storage_.grad_out[stage], kIsQuery ? &params_.q_map : &params_.grad_out_map, full,
               kEvictLast, 0, 0, token, 0, head);
      bulk_load(kIsQuery ? storage_.lse2[stage] : storage_.delta[stage],
                (kIsQuery ? params_.lse2 : params_.delta) + int64_t{index} * Config::kQueryRows, kRowBytes, full);
    }
    rows_.advance();
  }

  static constexpr int kRowsShift = Config::kQueryRows == 64 ? 6 : 7;
  static_assert(Config::kQueryRows == 1 << kRowsShift);

  const BackwardKernelParams& params_;
  BackwardStorage<Config>& storage_;
  RingPosition<kStages> rows_;
  RingPosition<Config::kItemSlots> item_;
  uint32_t key_phase_ = 0;
  int32_t run_slot_ = 0;  // of the run at hand
};

}  // namespace magi::ffa::sm90

#endif
