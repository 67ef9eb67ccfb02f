// The warp that brings in what a backward step reads: work items, keys and values, and a ring of query tiles.
#ifndef MAGI_FFA_SM90_BACKWARD_PRODUCER_CUH
#define MAGI_FFA_SM90_BACKWARD_PRODUCER_CUH

#include "backward_config.cuh"
#include "backward_runs.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

// Where a work item stands in the schedule.
struct BackwardPlace {
  int32_t tile;
  int32_t head;
  int32_t chunk;
};

__device__ inline BackwardPlace backward_place(const PlanView& plan, const BackwardSchedule& schedule, int32_t item) {
  const int32_t per_section = schedule.heads_per_section * plan.num_tiles * schedule.num_chunks;
  const int32_t section = item / per_section;
  int32_t rest = item - section * per_section;
  const int32_t first_head = section * schedule.heads_per_section;
  const int32_t heads = min(schedule.heads_per_section, schedule.num_heads - first_head);
  const int32_t chunk = rest / (heads * plan.num_tiles);
  rest -= chunk * heads * plan.num_tiles;
  const int32_t position = rest / heads;
  const int32_t tile = plan.tile_order != nullptr ? plan.tile_order[position]
                       : schedule.reverse_tiles  ? plan.num_tiles - 1 - position
                                                 : position;
  return {tile, first_head + rest - position * heads, chunk};
}

template <typename Config>
class BackwardProducer {
 public:
  __device__ BackwardProducer(const BackwardKernelParams& params, BackwardStorage<Config>& storage)
      : params_(params), storage_(storage) {}

  __device__ void run() {
    int32_t item = blockIdx.x;
    while (item < params_.schedule.num_items) {
      load_item(item);
      item = gridDim.x + atomicAdd(params_.next_item, 1);
    }
    announce({BackwardItem::kEnd, 0, 0, 0});
  }

 private:
  __device__ void announce(const BackwardItem& item) {
    barrier_wait(&storage_.item_empty[item_.stage], item_.phase ^ 1);
    storage_.items[item_.stage] = item;
    barrier_arrive(&storage_.item_full[item_.stage]);
    item_.advance();
  }

  __device__ void load_item(int32_t item) {
    const BackwardPlace place = backward_place(params_.plan, params_.schedule, item);
    const BackwardRuns runs(params_.plan, place.tile);
    const int32_t chunk_begin = place.chunk * params_.schedule.chunk_tiles;
    const int32_t chunk_end = chunk_begin + params_.schedule.chunk_tiles;
    int32_t steps = 0;
    for (int32_t i = 0; i < runs.count(); ++i) {
      const BackwardRun run = runs.at(i);
      steps += max(min(run.end, chunk_end) - max(run.begin, chunk_begin), 0);
    }
    announce({place.tile, place.head, steps * params_.heads_per_group, 0});
    if (steps == 0) return;

    const bool short_tile = (place.tile + 1) * Config::kKeyRows > params_.total_k;
    bool first = true;
    for (int32_t h = 0; h < params_.heads_per_group; ++h) {
      const int32_t query_head = place.head * params_.heads_per_group + h;
      for (int32_t i = 0; i < runs.count(); ++i) {
        const BackwardRun run = runs.at(i);
        const int32_t end = min(run.end, chunk_end);
        const int32_t bands = run.band_count == 0 && !short_tile ? BackwardStep::kUnmasked : run.band_count;
        for (int32_t tile = max(run.begin, chunk_begin); tile < end; ++tile) {
          load_queries(query_head, tile, run.band_begin, bands);
          // The first query tile is on its way before the keys of the item before have been used up.
          if (first) load_keys(place);
          first = false;
        }
      }
    }
  }

  __device__ void load_keys(const BackwardPlace& place) {
    barrier_wait(&storage_.keys_empty, key_phase_ ^ 1);
    key_phase_ ^= 1;
    const int32_t row = place.tile * Config::kKeyRows;
    barrier_arrive_expect(&storage_.keys_full, Config::kKeyTileBytes);
    tma_load(storage_.k, &params_.k_map, &storage_.keys_full, kEvictNormal, 0, row, 0, place.head);
    barrier_arrive_expect(&storage_.values_full, Config::kKeyTileBytes);
    tma_load(storage_.v, &params_.v_map, &storage_.values_full, kEvictNormal, 0, row, 0, place.head);
  }

  __device__ void load_queries(int32_t head, int32_t tile, int32_t band_begin, int32_t band_count) {
    const int32_t token = tile << (kRowsShift - params_.packed_shift);
    const int32_t index = head * params_.num_query_tiles + tile;
    const int64_t row = int64_t{index} * Config::kQueryRows;
    constexpr uint32_t kRowBytes = Config::kQueryRows * sizeof(float);

    const int query = query_.stage;
    uint64_t* full = &storage_.query_full[query];
    barrier_wait(&storage_.query_empty[query], query_.phase ^ 1);
    storage_.steps[query] = {token, index, band_begin, band_count};
    barrier_arrive_expect(full, Config::kQueryTileBytes + kRowBytes);
    tma_load(storage_.q[query], &params_.q_map, full, kEvictLast, 0, 0, token, 0, head);
    bulk_load(storage_.lse2[query], params_.lse2 + row, kRowBytes, full);
    query_.advance();

    const int grad = grad_.stage;
    full = &storage_.grad_full[grad];
    barrier_wait(&storage_.grad_empty[grad], grad_.phase ^ 1);
    barrier_arrive_expect(full, Config::kQueryTileBytes + kRowBytes);
    tma_load(storage_.grad_out[grad], &params_.grad_out_map, full, kEvictLast, 0, 0, token, 0, head);
    bulk_load(storage_.delta[grad], params_.delta + row, kRowBytes, full);
    grad_.advance();
  }

  static constexpr int kRowsShift = Config::kQueryRows == 64 ? 6 : 7;

  const BackwardKernelParams& params_;
  BackwardStorage<Config>& storage_;
  RingPosition<Config::kQueryStages> query_;
  RingPosition<Config::kGradStages> grad_;
  RingPosition<Config::kItemSlots> item_;
  uint32_t key_phase_ = 0;
};

}  // namespace magi::ffa::sm90

#endif
