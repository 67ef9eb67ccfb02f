// The warp that keeps the tensor memory accelerator busy: queries, keys and values of one item after the other.
#ifndef MAGI_FFA_SM90_FORWARD_LOADER_CUH
#define MAGI_FFA_SM90_FORWARD_LOADER_CUH

#include <climits>

#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// Walks over the column tiles of an item: first the tile that reaches beyond the keys, if any, then the runs.
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

  __device__ __forceinline__ void write_record(TileRecord& record, int col) const {
    if (lane_ < 6 * kInlineBands) (&record.bands[0][0])[lane_] = band_word_;
    if (lane_ == 0) {
      record.col_begin = col;
      record.band_begin = band_begin_;
      record.band_count = band_count_;
    }
  }

 private:
  __device__ __forceinline__ void enter_run() {
    const bool is_tail = next_run_ < 0;
    const int index = is_tail ? item_.tail_run : next_run_;
    ++next_run_;
    if (index == kNoRun) return;
    const int4 run = index < kInlineRuns
                         ? item_.runs[index]
                         : __ldg(reinterpret_cast<const int4*>(plan_.runs) + item_.run_begin + index);
    col_ = is_tail ? run.x + (run.y - 1) * plan_.tile_cols : run.x;
    left_ = is_tail ? 1 : index == item_.tail_run ? run.y - 1 : run.y;
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
  int next_run_ = -1;  // -1: the tail
  int col_ = 0;
  int left_ = 0;
  int band_begin_ = 0;
  int band_count_ = 0;
  int band_word_ = 0;
};

// Values follow the keys of the tile after theirs, also where that is the first tile of the next item.
template <typename Shape>
class ForwardLoader {
 public:
  __device__ ForwardLoader(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int lane)
      : params_(params), shared_(shared), lane_(lane) {}

  __device__ __forceinline__ void run() {
    while (true) {
      // What comes next may come late, and wait for these values itself.
      if (!Shape::kCrossesItems || !barrier_test(&shared_.item_full[slot_.stage], slot_.phase)) load_last_values();
      barrier_wait(&shared_.item_full[slot_.stage], slot_.phase);
      const ForwardItem& item = shared_.items[slot_.stage];
      if (item.tile == kEnd) break;
      if (item.tile == kFlush) load_last_values();
      else load_item(item);
      __syncwarp();
      if (lane_ == 0) barrier_arrive(&shared_.item_empty[slot_.stage]);
      slot_.advance();
    }
    load_last_values();
  }

 private:
  __device__ __forceinline__ void load_item(const ForwardItem& item) {
    const int tile = item.tile;
    const int head = item.head;
    const int num_tiles = item.num_tiles;
    const int num_masked = item.num_masked;
    ColumnTiles tiles(params_.plan, item, lane_);
    for (int i = 0; i < num_tiles; ++i) {
      const int col = tiles.next();
      barrier_wait(&shared_.k_empty[key_.stage], key_.phase ^ 1);
      if (i < num_masked) {
        tiles.write_record(shared_.records[record_.stage], col);
        __syncwarp();
      }
      record_.advance();
      const int kv_head = head / params_.kv_divisor;
      if (elect_one()) load(&params_.k_map, shared_.k[key_.stage], &shared_.k_full[key_.stage], col, kv_head);
      if (i == 0) load_queries(tile, head);
      load_last_values();
      key_.advance();
      last_col_ = col;
      last_head_ = kv_head;
    }
  }

  __device__ __forceinline__ void load_queries(int tile, int head) {
    barrier_wait(&shared_.q_empty[query_.stage], query_.phase ^ 1);
    if (elect_one()) {
      uint64_t* full = &shared_.q_full[query_.stage];
      barrier_arrive_expect(full, Shape::kConsumers * Shape::kQueryBytes);
      for (int wg = 0; wg < Shape::kConsumers; ++wg) {
        const int token = tile * params_.plan.tile_rows + ((wg * kWarpgroupRows) >> params_.packed_log2);
        for (int box = 0; box < Shape::kBoxes; ++box) {
          char* rows = shared_.q[query_.stage][wg] + box * kWarpgroupRows * 128;
          tma_load(rows, &params_.q_map, full, kEvictFirst, box * 64, 0, token, 0, head);
        }
      }
    }
    query_.advance();
  }

  // Of the tile before that of key_, unless they are there already.
  __device__ __forceinline__ void load_last_values() {
    if (last_col_ == kNoColumn) return;
    const RingPosition<Shape::kStages> value = key_.before();
    barrier_wait(&shared_.v_empty[value.stage], value.phase ^ 1);
    if (elect_one()) load(&params_.v_map, shared_.v[value.stage], &shared_.v_full[value.stage], last_col_, last_head_);
    last_col_ = kNoColumn;
  }

  __device__ __forceinline__ void load(const CUtensorMap* map, char* smem, uint64_t* full, int col, int kv_head) {
    barrier_arrive_expect(full, Shape::kKeyBytes);
    for (int box = 0; box < Shape::kBoxes; ++box) {
      tma_load(smem + box * Shape::kCols * 128, map, full, kEvictLast, box * 64, col, 0, kv_head);
    }
  }

  static constexpr int kNoColumn = INT_MIN;

  const ForwardKernelParams& params_;
  ForwardShared<Shape>& shared_;
  const int lane_;
  RingPosition<Shape::kItemStages> slot_;
  RingPosition<Shape::kQueryStages> query_;
  RingPosition<Shape::kStages> key_;
  RingPosition<Shape::kRecordStages> record_;
  int last_col_ = kNoColumn;
  int last_head_ = 0;
};

}  // namespace magi::ffa::sm90

#endif
