// The warp that keeps the tensor memory accelerator busy: queries, keys and values of one item after the other.
#ifndef MAGI_FFA_SM90_FORWARD_LOADER_CUH
#define MAGI_FFA_SM90_FORWARD_LOADER_CUH

#include <climits>

#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// Walks over the column tiles of an item: the last tile of the leading run first, then the runs.
class ColumnTiles {
 public:
  __device__ __forceinline__ ColumnTiles(const PlanView& plan, const ForwardItem& item, int lane)
      : plan_(plan), item_(item), lane_(lane) {}

  // Begin of the next tile, which may be masked.
  __device__ __forceinline__ int next() {
    while (left_ == 0) enter_run();
    const int col = col_;
    col_ += plan_.tile_cols;
    left_ -= 1;
    return col;
  }

  // Where the columns end, at most, that the item's rows see of a masked tile.
  __device__ __forceinline__ int visible_end(int tile) const {
    if (band_count_ == 0) return plan_.num_cols;
    if (band_count_ > kInlineBands) return INT_MAX;
    const int row1 = __shfl_up_sync(0xffffffff, band_word_, 2);
    const int hi = __shfl_down_sync(0xffffffff, band_word_, 2);
    const bool holds_col1 = lane_ % 6 == 3 && lane_ < 6 * band_count_;
    int end = 0;
    if (holds_col1) end = min(band_word_, min((tile + 1) * plan_.tile_rows, row1) + hi);
    return __reduce_max_sync(0xffffffff, end);
  }

  __device__ __forceinline__ void write_record(TileRecord& record, int col, bool narrow) const {
    if (lane_ < 6 * kInlineBands) (&record.bands[0][0])[lane_] = band_word_;
    if (lane_ == 0) {
      record.col_begin = col;
      record.band_begin = band_begin_;
      record.band_count = band_count_;
      record.narrow = narrow;
    }
  }

 private:
  __device__ __forceinline__ void enter_run() {
    const bool leads = next_run_ < 0;
    const int index = leads ? item_.lead_run : next_run_;
    ++next_run_;
    if (index == kNoRun) return;
    const int4 run = index < kInlineRuns
                         ? item_.runs[index]
                         : __ldg(reinterpret_cast<const int4*>(plan_.runs) + item_.run_begin + index);
    col_ = leads ? run.x + (run.y - 1) * plan_.tile_cols : run.x;
    left_ = leads ? 1 : index == item_.lead_run ? run.y - 1 : run.y;
    band_begin_ = run.z;
    band_count_ = run.w;
    if (left_ > 0 && band_count_ > 0) load_bands();
  }

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
  int next_run_ = -1;  // -1: the last tile of the leading one
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

  const auto load = [&](const CUtensorMap* map, char* smem, uint64_t* full, int cols, int col, int kv_head) {
    barrier_arrive_expect(full, cols * Shape::kRowBytes);
    for (int box = 0; box < Shape::kBoxes; ++box) {
      tma_load(smem + box * cols * 128, map, full, kEvictLast, box * 64, col, 0, kv_head);
    }
  };
  const auto load_key = [&](int col, int kv_head, bool narrow) {
    if (elect_one()) {
      load(narrow ? &params.k_narrow_map : &params.k_map, shared.k[key.stage], &shared.k_full[key.stage],
           narrow ? Shape::kNarrowCols : Shape::kCols, col, kv_head);
    }
    key.advance();
  };
  const auto load_value = [&](int col, int kv_head, bool narrow) {
    barrier_wait(&shared.v_empty[value.stage], value.phase ^ 1);
    if (elect_one()) {
      load(narrow ? &params.v_narrow_map : &params.v_map, shared.v[value.stage], &shared.v_full[value.stage],
           narrow ? Shape::kNarrowCols : Shape::kCols, col, kv_head);
    }
    value.advance();
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
    bool narrow = false;  // the first tile
    int previous = 0;
    for (int i = 0; i < num_tiles; ++i) {
      const int col = tiles.next();
      if (i == 0 && num_masked > 0) narrow = tiles.visible_end(tile) - col <= Shape::kNarrowCols;
      barrier_wait(&shared.k_empty[key.stage], key.phase ^ 1);
      if (i < num_masked) {
        tiles.write_record(shared.records[record.stage], col, i == 0 && narrow);
        __syncwarp();
      }
      record.advance();
      load_key(col, kv_head, i == 0 && narrow);
      if (i == 0) {
        barrier_wait(&shared.q_empty[query.stage], query.phase ^ 1);
        if (elect_one()) {
          uint64_t* full = &shared.q_full[query.stage];
          barrier_arrive_expect(full, Shape::kConsumers * Shape::kQueryBytes);
          for (int wg = 0; wg < Shape::kConsumers; ++wg) {
            const int token = tile * params.plan.tile_rows + ((wg * kWarpgroupRows) >> params.packed_log2);
            for (int box = 0; box < Shape::kBoxes; ++box) {
              char* rows = shared.q[query.stage][wg] + box * kWarpgroupRows * 128;
              tma_load(rows, &params.q_map, full, kEvictFirst, box * 64, 0, token, 0, head);
            }
          }
        }
        query.advance();
      } else {
        load_value(previous, kv_head, i == 1 && narrow);
      }
      previous = col;
    }
    if (num_tiles > 0) load_value(previous, kv_head, num_tiles == 1 && narrow);
    __syncwarp();
    if (lane == 0) barrier_arrive(&shared.item_empty[slot.stage]);
    slot.advance();
  }
}

}  // namespace magi::ffa::sm90

#endif
