// The warpgroups that multiply. Scores of the next tile are issued before the output of the one before, and that goes on across
// items.
#ifndef MAGI_FFA_SM90_FORWARD_CONSUMER_CUH
#define MAGI_FFA_SM90_FORWARD_CONSUMER_CUH

#include "forward_products.cuh"
#include "forward_store.cuh"
#include "online_softmax.cuh"
#include "score_mask.cuh"

namespace magi::ffa::sm90 {

// A named barrier.
constexpr int kTurnBarrier = 1;  // + warpgroup: its turn at the tensor cores

template <typename Shape>
class ForwardConsumer {
 public:
  using Item = ConsumerItem;
  static constexpr int kCols = Shape::kCols;
  static constexpr int kNarrowCols = Shape::kNarrowCols;
  static constexpr int kConsumers = Shape::kConsumers;

  __device__ ForwardConsumer(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int warpgroup)
      : params_(params), shared_(shared), warpgroup_(warpgroup), lane_(threadIdx.x % 32), store_(params, shared, warpgroup) {}

  __device__ __forceinline__ void run() {
    // Someone has to go first.
    if (warpgroup_ == kConsumers - 1) named_barrier_arrive(kTurnBarrier, 256);
    Item item;
    OnlineSoftmax softmax;
    bool begun = false;  // the item's probabilities are there, and its last output is not
    while (true) {
      Item next;
      read_item(next);
      const bool has_next = next.tile >= 0;
      if (has_next && next.num_tiles == 0) {
        store_.store_empty(next);
        continue;
      }
      OnlineSoftmax next_softmax;
      if (has_next) wait_for_first_tile(next);
      if (begun) {
        // Without a gap: the first scores of an item are issued before the last output of the item before.
        if (has_next) cross_items(item, next, next_softmax);
        else finish_last(item);
        store_.store(item, softmax, products_);
      } else if (has_next) {
        begin_first(next, next_softmax);
      }
      begun = has_next;
      if (!has_next) {
        if (next.tile == kEnd) break;
        if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.flushed);
        continue;
      }
      item = next;
      softmax = next_softmax;
      take_steps(item, softmax);
      if constexpr (!Shape::kCrossesItems) {
        finish_last(item);
        store_.store(item, softmax, products_);
        store_.release_query();
        begun = false;
      }
    }
    bulk_wait_read<0>();
  }

 private:
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

  __device__ __forceinline__ static bool ends_narrow(const Item& item) { return item.narrow && item.num_tiles == 1; }

  template <int N>
  __device__ __forceinline__ void mask(float (&scores)[N], const Item& item) {
    const RowPlaces rows = store_.locate_rows(item);
    mask_scores(scores, shared_.records[record_.stage], params_.plan, rows.token, lane_);
  }

  __device__ __forceinline__ void wait_for_first_tile(Item& item) {
    barrier_wait(&shared_.q_full[query_.stage], query_.phase);
    products_.set_query(shared_.q[query_.stage][warpgroup_]);
    query_.advance();
    barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    item.narrow = __any_sync(0xffffffff, item.num_masked > 0 && shared_.records[record_.stage].narrow != 0);
  }

  // Scores and probabilities of the first tile of the first item.
  __device__ __forceinline__ void begin_first(const Item& item, OnlineSoftmax& softmax) {
    if (item.narrow) begin_first<kNarrowCols>(item, softmax);
    else begin_first<kCols>(item, softmax);
  }

  template <int kTileCols>
  __device__ __forceinline__ void begin_first(const Item& item, OnlineSoftmax& softmax) {
    products_.template issue_scores<kTileCols>(shared_.k[key_.stage]);
    wgmma_wait<0>();
    pin_registers(products_.scores);
    begin_softmax<kTileCols>(item, softmax);
    if (item.num_tiles > 1) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    products_.template pack_probabilities<kTileCols>();
  }

  template <int kTileCols>
  __device__ __forceinline__ void begin_softmax(const Item& item, OnlineSoftmax& softmax) {
    float (&scores)[kTileCols / 2] = products_.template tile_scores<kTileCols>();
    release_key();
    transform_scores(scores);
    if (item.num_masked > 0) mask(scores, item);
    record_.advance();
    float rescale[2];
    softmax.template update<true, true>(scores, params_.scale_log2, true, 0.0f, rescale);
  }

  // The last output of one item under the first softmax of the next. Each combination of widths has code of its own.
  __device__ __forceinline__ void cross_items(const Item& item, const Item& next, OnlineSoftmax& begun) {
    if (next.narrow) {
      if (ends_narrow(item)) cross_items<kNarrowCols, kNarrowCols>(item, next, begun);
      else cross_items<kNarrowCols, kCols>(item, next, begun);
    } else {
      if (ends_narrow(item)) cross_items<kCols, kNarrowCols>(item, next, begun);
      else cross_items<kCols, kCols>(item, next, begun);
    }
  }

  template <int kNextCols, int kLastCols>
  __device__ __forceinline__ void cross_items(const Item& item, const Item& next, OnlineSoftmax& begun) {
    named_barrier_sync(kTurnBarrier + warpgroup_, 256);
    products_.template issue_scores<kNextCols>(shared_.k[key_.stage]);
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    products_.template issue_output<kLastCols>(shared_.v[value_.stage], item.num_tiles == 1);
    named_barrier_arrive(kTurnBarrier + (warpgroup_ + 1) % kConsumers, 256);
    store_.release_query();
    wgmma_wait<1>();
    pin_registers(products_.scores);
    begin_softmax<kNextCols>(next, begun);
    if (next.num_tiles > 1) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    wgmma_wait<0>();
    pin_registers(products_.out);
    release_value();
    products_.template pack_probabilities<kNextCols>();
  }

  // The last output of an item that no other follows yet.
  __device__ __forceinline__ void finish_last(const Item& item) {
    if (ends_narrow(item)) finish_last<kNarrowCols>(item);
    else finish_last<kCols>(item);
  }

  template <int kLastCols>
  __device__ __forceinline__ void finish_last(const Item& item) {
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    products_.template issue_output<kLastCols>(shared_.v[value_.stage], item.num_tiles == 1);
    store_.release_query();
    wgmma_wait<0>();
    pin_registers(products_.out);
    release_value();
  }

  // All tiles but the first.
  __device__ __forceinline__ void take_steps(const Item& item, OnlineSoftmax& softmax) {
    int i = 1;
    if (item.narrow && item.num_tiles > 1) step<true, kNarrowCols>(softmax, item, i++, true);
#pragma unroll 1
    for (; i < item.num_masked; ++i) step<true, kCols>(softmax, item, i, true);
    // After its first full tile every row has a maximum.
    bool search = __any_sync(0xffffffff, item.exact || softmax.lacks_maximum());
#pragma unroll 1
    for (; i < item.num_tiles; ++i) {
      step<false, kCols>(softmax, item, i, search);
      search = item.exact;
    }
  }

  // Scores of tile i, then the output of the tile before, with the softmax of the former under the latter.
  template <bool kMasked, int kLastCols>
  __device__ __forceinline__ void step(OnlineSoftmax& softmax, const Item& item, int i, bool search) {
    named_barrier_sync(kTurnBarrier + warpgroup_, 256);
    products_.template issue_scores<kCols>(shared_.k[key_.stage]);
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    products_.template issue_output<kLastCols>(shared_.v[value_.stage], i == 1);
    named_barrier_arrive(kTurnBarrier + (warpgroup_ + 1) % kConsumers, 256);
    wgmma_wait<1>();
    pin_registers(products_.scores);
    release_key();
    transform_scores(products_.scores);
    if constexpr (kMasked) {
      if (i < item.num_masked) mask(products_.scores, item);
    }
    record_.advance();
    float rescale[2];
    const float slack = params_.exact_maxima ? 0.0f : kSlack;
    const bool grown = softmax.template update<false, kMasked>(products_.scores, params_.scale_log2, search, slack, rescale);
    // ptxas would sink the exponentials below the wait for the output, and so out from under it. It cannot move them
    // across a loop: waiting for the next keys here costs nothing, as they are needed soon.
    if (i + 1 < item.num_tiles) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    wgmma_wait<0>();
    pin_registers(products_.out);
    release_value();
    products_.template pack_probabilities<kCols>();
    if (grown) products_.scale_output(rescale);
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

  const ForwardKernelParams& params_;
  ForwardShared<Shape>& shared_;
  const int warpgroup_;
  const int lane_;
  RingPosition<Shape::kItemStages> slot_;
  RingPosition<Shape::kQueryStages> query_;
  RingPosition<Shape::kStages> key_;
  RingPosition<Shape::kStages> value_;
  RingPosition<Shape::kRecordStages> record_;
  ForwardProducts<Shape> products_;
  ForwardStore<Shape> store_;
};

}  // namespace magi::ffa::sm90

#endif
