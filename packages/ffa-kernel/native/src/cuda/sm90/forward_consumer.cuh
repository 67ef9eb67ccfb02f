// The warpgroups that multiply. Scores of the next tile are issued before the output of the one before, and that goes on across
// items.
#ifndef MAGI_FFA_SM90_FORWARD_CONSUMER_CUH
#define MAGI_FFA_SM90_FORWARD_CONSUMER_CUH

#include "forward_epilogue.cuh"
#include "online_softmax.cuh"
#include "score_mask.cuh"

namespace magi::ffa::sm90 {

// Named barriers.
constexpr int kTurnBarrier = 1;   // + warpgroup: its turn at the tensor cores
constexpr int kStageBarrier = 8;  // + warpgroup: its output is complete in shared memory, and whether it is good

template <typename Shape>
class ForwardConsumer {
 public:
  using T = typename Shape::Element;
  static constexpr int kDim = Shape::kHeadDim;
  static constexpr int kCols = Shape::kCols;
  static constexpr int kNarrowCols = Shape::kNarrowCols;
  static constexpr int kConsumers = Shape::kConsumers;

  __device__ ForwardConsumer(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int warpgroup)
      : params_(params), shared_(shared), warpgroup_(warpgroup), warp_(threadIdx.x / 32 % 4), lane_(threadIdx.x % 32) {}

  // Items follow each other without a gap: the first scores of an item are issued before the last output of the item before.
  __device__ __forceinline__ void run() {
    // Someone has to go first.
    if (warpgroup_ == kConsumers - 1) named_barrier_arrive(kTurnBarrier, 256);
    Item item;
    OnlineSoftmax softmax;
    bool begun = false;  // the item's first probabilities are there, and its last output is not
    while (true) {
      Item next;
      read_item(next);
      if (next.tile < 0) {
        if (begun) finish_last(item, softmax);
        if (next.tile == kEnd) break;
        begun = false;
        if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.flushed);
        continue;
      }
      if (next.num_tiles == 0) {
        store_empty(next);
        continue;
      }
      if (begun) cross_items(item, softmax, next);
      else begin_first(next, softmax);
      begun = true;
      item = next;

      int i = 1;
      // The unmasked loop knows of no narrow tile, whose output is the first step's.
      const int masked_end = item.narrow ? max(item.num_masked, min(item.num_tiles, 2)) : item.num_masked;
#pragma unroll 1
      for (; i < masked_end; ++i) step<true>(softmax, item, i, true);
      // After its first full tile every row has a maximum.
      bool search = __any_sync(0xffffffff, item.exact || softmax.lacks_maximum());
#pragma unroll 1
      for (; i < item.num_tiles; ++i) {
        step<false>(softmax, item, i, search);
        search = item.exact;
      }
    }
    bulk_wait_read<0>();
  }

 private:
  struct Item {
    int tile;
    int head;
    int num_tiles;
    int num_masked;
    int query_stage;
    bool exact;
    bool stores;
    bool narrow;  // its first tile, known once that has been loaded
  };

  __device__ __forceinline__ void read_item(Item& item) {
    barrier_wait(&shared_.item_full[slot_.stage], slot_.phase);
    const ForwardItem& slot = shared_.items[slot_.stage];
    item.tile = slot.tile;
    item.head = slot.head;
    item.num_tiles = slot.num_tiles;
    item.num_masked = slot.num_masked;
    // A vote, so that the compiler knows it to be alike in all lanes.
    item.exact = !Shape::kStaleMaximum || __any_sync(0xffffffff, slot.exact != 0);
    item.stores = slot.warpgroups >> warpgroup_ & 1;
    item.query_stage = query_.stage;
    __syncwarp();
    if (lane_ == 0) barrier_arrive(&shared_.item_empty[slot_.stage]);
    slot_.advance();
  }

  __device__ __forceinline__ int row_in_tile(int h) const {
    return warpgroup_ * kWarpgroupRows + 16 * warp_ + lane_ / 4 + 8 * h;
  }

  __device__ __forceinline__ RowPlaces locate_rows(const Item& item) const {
    RowPlaces rows;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      rows.token[h] = item.tile * params_.plan.tile_rows + (row_in_tile(h) >> params_.packed_log2);
      rows.head[h] = item.head * params_.packed + (row_in_tile(h) & (params_.packed - 1));
    }
    return rows;
  }

  template <int N>
  __device__ __forceinline__ void mask(float (&scores)[N], const Item& item) {
    const int rows[2] = {item.tile * params_.plan.tile_rows + (row_in_tile(0) >> params_.packed_log2),
                         item.tile * params_.plan.tile_rows + (row_in_tile(1) >> params_.packed_log2)};
    mask_scores(scores, shared_.records[record_.stage], params_.plan, rows, lane_);
  }

  __device__ __forceinline__ void wait_for_query(const Item& item) {
    barrier_wait(&shared_.q_full[query_.stage], query_.phase);
    query_descriptor_ = matrix_descriptor(shared_.q[query_.stage][warpgroup_], 16);
    query_.advance();
  }

  // The first tile has come.
  __device__ __forceinline__ void wait_for_first_key(Item& item) {
    barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    item.narrow = __any_sync(0xffffffff, item.num_masked > 0 && shared_.records[record_.stage].narrow != 0);
  }

  // Scores and probabilities of the first tile of the first item.
  __device__ __forceinline__ void begin_first(Item& item, OnlineSoftmax& softmax) {
    wait_for_query(item);
    wait_for_first_key(item);
    issue_first_scores(item);
    wgmma_wait<0>();
    pin_registers(scores_);
    begin_softmax(item, softmax);
    if (item.num_tiles > 1) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    pack_probabilities();
  }

  __device__ __forceinline__ void begin_softmax(const Item& item, OnlineSoftmax& softmax) {
    release_key();
    if (item.narrow) begin_softmax(first_columns<kNarrowCols>(), item, softmax);
    else begin_softmax(scores_, item, softmax);
    record_.advance();
  }

  template <int N>
  __device__ __forceinline__ void begin_softmax(float (&scores)[N], const Item& item, OnlineSoftmax& softmax) {
    transform_scores(scores);
    if (item.num_masked > 0) mask(scores, item);
    float rescale[2];
    softmax.template update<true, true>(scores, params_.scale_log2, true, 0.0f, rescale);
  }

  // The last output of one item under the first softmax of the next.
  __device__ __forceinline__ void cross_items(const Item& item, OnlineSoftmax& softmax, Item& next) {
    wait_for_query(next);
    wait_for_first_key(next);
    named_barrier_sync(kTurnBarrier + warpgroup_, 256);
    issue_first_scores(next);
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    issue_output(item, item.num_tiles - 1);
    named_barrier_arrive(kTurnBarrier + (warpgroup_ + 1) % kConsumers, 256);
    release_stored_query();
    wgmma_wait<1>();
    pin_registers(scores_);
    OnlineSoftmax begun;
    begin_softmax(next, begun);
    if (next.num_tiles > 1) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    wgmma_wait<0>();
    pin_registers(out_);
    release_value();
    pack_probabilities();
    store(item, softmax);
    softmax = begun;
  }

  // The last output of an item that no other follows yet.
  __device__ __forceinline__ void finish_last(const Item& item, OnlineSoftmax& softmax) {
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    issue_output(item, item.num_tiles - 1);
    release_stored_query();
    wgmma_wait<0>();
    pin_registers(out_);
    release_value();
    store(item, softmax);
  }

  // Scores of tile i, then the output of the tile before, with the softmax of the former under the latter. kMasked: one of them
  // may be masked.
  template <bool kMasked>
  __device__ __forceinline__ void step(OnlineSoftmax& softmax, const Item& item, int i, bool search) {
    named_barrier_sync(kTurnBarrier + warpgroup_, 256);
    issue_scores<kCols>();
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    if constexpr (kMasked) issue_output(item, i - 1);
    else issue_output<kCols>(i == 1);
    named_barrier_arrive(kTurnBarrier + (warpgroup_ + 1) % kConsumers, 256);
    wgmma_wait<1>();
    pin_registers(scores_);
    release_key();
    transform_scores(scores_);
    if constexpr (kMasked) {
      if (i < item.num_masked) mask(scores_, item);
    }
    record_.advance();
    float rescale[2];
    const float slack = params_.exact_maxima ? 0.0f : kSlack;
    const bool grown = softmax.template update<false, kMasked>(scores_, params_.scale_log2, search, slack, rescale);
    // ptxas would sink the exponentials below the wait for the output, and so out from under it. It cannot move them
    // across a loop: waiting for the next keys here costs nothing, as they are needed soon.
    if (i + 1 < item.num_tiles) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    wgmma_wait<0>();
    pin_registers(out_);
    release_value();
    pack_probabilities();
    if (!grown) return;
#pragma unroll
    for (int j = 0; j < kDim / 2; ++j) out_[j] *= rescale[(j / 2) % 2];
  }

  // The registers of a narrow tile's scores.
  template <int kTileCols>
  __device__ __forceinline__ float (&first_columns())[kTileCols / 2] {
    return *reinterpret_cast<float(*)[kTileCols / 2]>(&scores_);
  }

  __device__ __forceinline__ void issue_first_scores(const Item& item) {
    if (item.narrow) issue_scores<kNarrowCols>();
    else issue_scores<kCols>();
  }

  // Of an item's tile.
  __device__ __forceinline__ void issue_output(const Item& item, int tile) {
    if (tile == 0 && item.narrow) issue_output<kNarrowCols>(true);
    else issue_output<kCols>(tile == 0);
  }

  template <int kTileCols>
  __device__ __forceinline__ void issue_scores() {
    const uint64_t keys = matrix_descriptor(shared_.k[key_.stage], 16);
    pin_registers(scores_);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const uint32_t in_panel = (k % 4) * 32;
      wgmma_ss<T, kTileCols, 0, 0>(first_columns<kTileCols>(), advance_descriptor(query_descriptor_, (k / 4) * kWarpgroupRows * 128 + in_panel),
                                   advance_descriptor(keys, (k / 4) * kTileCols * 128 + in_panel), k > 0);
    }
    wgmma_commit();
  }

  template <int kTileCols>
  __device__ __forceinline__ void issue_output(bool first) {
    const uint64_t values = matrix_descriptor(shared_.v[value_.stage], kTileCols * 128);
    pin_registers(out_);
    pin_registers(probabilities_);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kTileCols / 16; ++k) {
      wgmma_rs<T, kDim, 1>(out_, probabilities_[k], advance_descriptor(values, k * 16 * 128), k > 0 || !first);
    }
    wgmma_commit();
  }

  // A score accumulator has the layout of an A operand already. What a narrow tile leaves in the other registers is not used.
  __device__ __forceinline__ void pack_probabilities() {
#pragma unroll
    for (int k = 0; k < kCols / 16; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) probabilities_[k][r] = pack_pair<T>(scores_[8 * k + 2 * r], scores_[8 * k + 2 * r + 1]);
    }
  }

  template <int N>
  __device__ __forceinline__ void transform_scores(float (&scores)[N]) {
    if constexpr (Shape::kTransformScores) {
#pragma unroll
      for (int i = 0; i < N; ++i) scores[i] = params_.transform.apply(scores[i]);
    }
  }

  __device__ __forceinline__ void release_key() {
    if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.k_empty[key_.stage]);
    key_.advance();
  }

  __device__ __forceinline__ void release_value() {
    if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.v_empty[value_.stage]);
    value_.advance();
  }

  // The output of an item lies in its query buffer until it has been stored.
  __device__ __forceinline__ void release_stored_query() {
    if (stored_query_ < 0) return;
    if (threadIdx.x % 128 == 0) {
      bulk_wait_read<0>();
      barrier_arrive(&shared_.q_empty[stored_query_]);
    }
    stored_query_ = -1;
  }

  // An item without tiles: no row has keys.
  __device__ __forceinline__ void store_empty(const Item& item) {
    const RowPlaces rows = locate_rows(item);
    RowResult results[2];
    finish_rows(params_, OnlineSoftmax{}, rows, results);
    __syncwarp();
    store_statistics(params_, OnlineSoftmax{}, rows, results, lane_);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      if (rows.token[h] < params_.total_q) {
        store_empty_row<kDim>(params_, rows.token[h], rows.head[h], lane_, results[h].old_factor);
      }
    }
  }

  __device__ __forceinline__ void store(const Item& item, OnlineSoftmax& softmax) {
    stored_query_ = item.query_stage;
    if (!item.stores) return;
    softmax.finish();
    const RowPlaces rows = locate_rows(item);
    const bool bad = !item.exact && outgrown(softmax, rows);
    RowResult results[2];
    finish_rows(params_, softmax, rows, results);
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) out_[i] *= results[(i / 2) % 2].factor;
    // Only this warpgroup has read these queries, and it is done with them.
    char* staged = shared_.q[item.query_stage][warpgroup_];
    if (params_.out_float == nullptr) {
      stage_rows<T, kDim>(staged, out_, warp_, lane_);
      fence_async_proxy();
    }
    if (any_of_warpgroup(bad)) {
      if (threadIdx.x % 128 == 0) retry_later(item);
      return;
    }
    if (params_.out_float != nullptr) {
      store_float_rows<kDim>(params_, out_, rows, lane_, results);
    } else if (threadIdx.x % 128 == 0) {
      const int token = item.tile * params_.plan.tile_rows + ((warpgroup_ * kWarpgroupRows) >> params_.packed_log2);
      tma_store(&params_.out_map, staged, 0, 0, token, 0, item.head);
      bulk_commit();
    }
    store_statistics(params_, softmax, rows, results, lane_);
  }

  // Whether one of the thread's rows has left the range in which a stale maximum does no harm.
  __device__ __forceinline__ bool outgrown(const OnlineSoftmax& softmax, const RowPlaces& rows) const {
    bool bad = false;
#pragma unroll
    for (int h = 0; h < 2; ++h) bad |= !(softmax.row_sum[h] < kLargestSum) && rows.token[h] < params_.total_q;
    if (__any_sync(0xffffffff, fmaxf(softmax.row_sum[0], softmax.row_sum[1]) > kDoubtfulSum)) {
#pragma unroll
      for (int i = 0; i < kDim / 2; ++i) bad |= !(fabsf(out_[i]) < INFINITY);
    }
    return bad;
  }

  // A barrier, too: what all have staged is there.
  __device__ __forceinline__ bool any_of_warpgroup(bool value) const {
    static_assert(kConsumers == 2, "each has a barrier here");
    if (warpgroup_ == 0) return named_barrier_any<kStageBarrier, 128>(value);
    return named_barrier_any<kStageBarrier + 1, 128>(value);
  }

  __device__ void retry_later(const Item& item) const {
    const int slot = atomicAdd(&shared_.num_retries, 1);
    if (slot >= kRetrySlots) __trap();
    shared_.retries[slot] = {item.tile, item.head, warpgroup_};
  }

  const ForwardKernelParams& params_;
  ForwardShared<Shape>& shared_;
  const int warpgroup_;
  const int warp_;
  const int lane_;
  RingPosition<Shape::kItemStages> slot_;
  RingPosition<Shape::kQueryStages> query_;
  RingPosition<Shape::kStages> key_;
  RingPosition<Shape::kStages> value_;
  RingPosition<Shape::kRecordStages> record_;
  int stored_query_ = -1;
  uint64_t query_descriptor_ = 0;
  float out_[kDim / 2];
  float scores_[kCols / 2];
  uint32_t probabilities_[kCols / 16][4];
};

}  // namespace magi::ffa::sm90

#endif
