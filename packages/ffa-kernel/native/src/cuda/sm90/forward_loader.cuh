// The warp that keeps the tensor memory accelerator busy: queries, keys and values of one item after the other.
#ifndef MAGI_FFA_SM90_FORWARD_LOADER_CUH
#define MAGI_FFA_SM90_FORWARD_LOADER_CUH

#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// Walks over the column tiles of an item: the tail first, then the runs.
class ColumnTiles {
 public:
  __device__ __forceinline__ ColumnTiles(const PlanView& plan, const ForwardItem& item, int lane)
      : plan_(plan), item_(item), lane_(lane) {}

  // Begin of the next tile. band_count() says whether and how it is masked.
  __device__ __forceinline__ int next() {
    if (!tail_done_) {
      tail_done_ = true;
      if (item_.tail_col != kNoTail) return item_.tail_col;
    }
    while (left_ == 0) {
      const int4 run = run_index_ < kInlineRuns
                           ? item_.runs[run_index_]
                           : __ldg(reinterpret_cast<const int4*>(plan_.runs) + item_.run_begin + run_index_);
      ++run_index_;
      if (run.y == 0) continue;
      col_ = run.x;
      left_ = run.y;
      band_begin_ = run.z;
      band_count_ = run.w;
      if (band_count_ > 0) load_bands();
      else if (item_.tail_col == col_ + (left_ - 1) * plan_.tile_cols) left_ -= 1;
    }
    const int col = col_;
    col_ += plan_.tile_cols;
    left_ -= 1;
    return col;
  }

  __device__ __forceinline__ void write_record(TileRecord& record, int col) const {
    if (lane_ < 6 * kInlineBands) (&record.bands[0][0])[lane_] = band_word_;
    if (lane_ == 0) {
      record.col_begin = col;
      record.band_begin = band_begin_;
      record.band_count = band_count_;
    }
  }

 private:
  // Lane i holds word i % 6 of band i / 6 of the run.
  __device__ __forceinline__ void load_bands() {
    const int position = lane_ / 6;
    const int word = lane_ - position * 6;
    if (position >= min(band_count_, kInlineBands)) return;
    if (band_begin_ == kDenseBand) {
      band_word_ = plan_.band[word];
    } else {
      const int band = __ldg(plan_.run_bands + band_begin_ + position);
      band_word_ = __ldg(plan_.bands + 6 * band + word);
    }
  }

  const PlanView& plan_;
  const ForwardItem& item_;
  int lane_;
  bool tail_done_ = false;
  int run_index_ = 0;
  int col_ = 0;
  int left_ = 0;
  int band_begin_ = 0;
  int band_count_ = 0;
  int band_word_ = 0;
};

template <typename Shape>
__device__ void load_items(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int lane) {
  RingPosition<Shape::kItemStages> slot;
  RingPosition<Shape::kQueryStages> query;
  RingPosition<Shape::kStages> key, value;
  RingPosition<Shape::kRecordStages> record;

  const auto load = [&](const CUtensorMap* map, void* smem, uint64_t* full, int col, int kv_head) {
    barrier_arrive_expect(full, Shape::kKeyBytes);
    tma_load(smem, map, full, kEvictLast, 0, col, 0, kv_head);
  };
  while (true) {
    barrier_wait(&shared.item_full[slot.stage], slot.phase);
    const ForwardItem& item = shared.items[slot.stage];
    const int tile = item.tile;
    if (tile == kEnd) break;
    if (tile == kFlush) {
      __syncwarp();
      if (lane == 0) barrier_arrive(&shared.item_empty[slot.stage]);
      slot.advance();
      continue;
    }
    const int head = item.head;
    const int num_tiles = item.num_tiles;
    const int num_masked = item.num_masked;
    const int kv_head = head / params.kv_divisor;
    ColumnTiles tiles(params.plan, item, lane);
    int previous = 0;
    for (int i = 0; i < num_tiles; ++i) {
      const int col = tiles.next();
      barrier_wait(&shared.k_empty[key.stage], key.phase ^ 1);
      if (i < num_masked) {
        tiles.write_record(shared.records[record.stage], col);
        __syncwarp();
      }
      record.advance();
      if (elect_one()) load(&params.k_map, shared.k[key.stage], &shared.k_full[key.stage], col, kv_head);
      key.advance();
      if (i == 0) {
        barrier_wait(&shared.q_empty[query.stage], query.phase ^ 1);
        if (elect_one()) {
          uint64_t* full = &shared.q_full[query.stage];
          barrier_arrive_expect(full, Shape::kConsumers * Shape::kQueryBytes);
          for (int wg = 0; wg < Shape::kConsumers; ++wg) {
            const int token = tile * params.plan.tile_rows + ((wg * kWarpgroupRows) >> params.packed_log2);
            tma_load(shared.q[query.stage][wg], &params.q_map, full, kEvictFirst, 0, 0, token, 0, head);
          }
        }
        query.advance();
      } else {
        barrier_wait(&shared.v_empty[value.stage], value.phase ^ 1);
        if (elect_one()) load(&params.v_map, shared.v[value.stage], &shared.v_full[value.stage], previous, kv_head);
        value.advance();
      }
      previous = col;
    }
    if (num_tiles > 0) {
      barrier_wait(&shared.v_empty[value.stage], value.phase ^ 1);
      if (elect_one()) load(&params.v_map, shared.v[value.stage], &shared.v_full[value.stage], previous, kv_head);
      value.advance();
    }
    __syncwarp();
    if (lane == 0) barrier_arrive(&shared.item_empty[slot.stage]);
    slot.advance();
  }
}

}  // namespace magi::ffa::sm90

#endif
