// The warpgroups that multiply. Scores of the next tile are issued before the output of the one before, and that goes on across
// items. One loop takes all tiles of all items: what is not in the instruction cache costs more than a branch.
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
  __device__ ForwardConsumer(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int warpgroup)
      : params_(params), shared_(shared), warpgroup_(warpgroup), lane_(threadIdx.x % 32), store_(params, shared, warpgroup) {}

  __device__ __forceinline__ void run() {
    // Someone has to go first.
    if (warpgroup_ == Shape::kConsumers - 1) named_barrier_arrive(kTurnBarrier, 256);
    while (true) {
      const bool starts = tile_ == item_.num_tiles;
      bool has_scores = true;
      if (starts) {
        // Where queries of two items do not fit, the output of this one comes first.
        has_scores = (Shape::kCrossesItems || !has_output_) && read_item();
        if (has_scores && item_.num_tiles == 0) {
          store_.store_empty(item_);
          continue;
        }
        if (has_scores) wait_for_first_tile();
      }
      if (has_scores || has_output_) any_step(starts, has_scores);
      if (has_scores && tile_ >= item_.num_masked) {
#pragma unroll 1
        while (tile_ < item_.num_tiles) full_step();
      }
      if (item_.tile == kEnd) break;
      if (item_.tile == kFlush) {
        if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.flushed);
        item_.tile = kNoItem;
      }
    }
    bulk_wait_read<0>();
  }

 private:
  static constexpr int kNoItem = -3;

  // Whether there is one; else it is a signal.
  __device__ __forceinline__ bool read_item() {
    barrier_wait(&shared_.item_full[slot_.stage], slot_.phase);
    const ForwardItem& slot = shared_.items[slot_.stage];
    item_.tile = slot.tile;
    item_.head = slot.head;
    item_.num_tiles = slot.num_tiles;
    item_.num_masked = slot.num_masked;
    // A vote, so that the compiler knows it to be alike in all lanes.
    item_.exact = !Shape::kStaleMaximum || __any_sync(0xffffffff, slot.exact != 0);
    item_.stores = slot.warpgroups >> warpgroup_ & 1;
    item_.query_stage = query_.stage;
    tile_ = 0;
    __syncwarp();
    if (lane_ == 0) barrier_arrive(&shared_.item_empty[slot_.stage]);
    slot_.advance();
    return item_.tile >= 0;
  }

  __device__ __forceinline__ void wait_for_first_tile() {
    barrier_wait(&shared_.q_full[query_.stage], query_.phase);
    products_.set_query(shared_.q[query_.stage][warpgroup_]);
    query_.advance();
    barrier_wait(&shared_.k_full[key_.stage], key_.phase);
  }

  // A step: scores of a tile and the output of the tile before it, with the softmax of the former under the latter. This one is
  // for full tiles within an item, and as short as can be.
  __device__ __forceinline__ void full_step() {
    const int value_stage = issue_products(true, tile_ == 1);
    wgmma_wait<1>();
    pin_registers(products_.scores);
    float rescale[2];
    const bool grown = begin_softmax<false>(false, rescale);
    wgmma_wait<0>();
    pin_registers(products_.out);
    release_value(value_stage);
    end_softmax();
    if (grown) products_.scale_output(rescale);
  }

  // Any other. Where there is only one of the two, the other is computed from whatever lies in shared memory, and left unused:
  // ptxas keeps no product going that is issued in one case only.
  __device__ __forceinline__ void any_step(bool starts, bool has_scores) {
    const int value_stage = issue_products(has_output_, starts && Shape::kCrossesItems ? ending_.num_tiles == 1 : tile_ == 1);
    if (starts) store_.release_query();
    wgmma_wait<1>();
    pin_registers(products_.scores);
    OnlineSoftmax ended = softmax_;
    float rescale[2];
    bool grown = false;
    if (has_scores) grown = begin_softmax<true>(starts, rescale);
    wgmma_wait<0>();
    pin_registers(products_.out);
    if (has_output_) release_value(value_stage);
    if (has_scores) end_softmax();
    if (starts) {
      if constexpr (Shape::kCrossesItems) {
        if (has_output_) store_.store(ending_, ended, products_);
        ending_ = item_;
      } else if (has_output_) {
        store_.store(item_, softmax_, products_);
        store_.release_query();
      }
    } else if (grown) {
      products_.scale_output(rescale);
    }
    has_output_ = has_scores;
  }

  // Returns the stage of the values.
  __device__ __forceinline__ int issue_products(bool has_output, bool first_output) {
    const uint64_t keys = products_.keys_of(shared_.k[key_.stage]);
    // Values come one tile after their keys.
    const RingPosition<Shape::kStages> value = key_.before();
    const uint64_t values = products_.values_of(shared_.v[value.stage]);
    named_barrier_sync(kTurnBarrier + warpgroup_, 256);
    products_.issue_scores(keys);
    if (has_output) barrier_wait(&shared_.v_full[value.stage], value.phase);
    products_.issue_output(values, first_output,
                           [&] { named_barrier_arrive(kTurnBarrier + (warpgroup_ + 1) % Shape::kConsumers, 256); });
    return value.stage;
  }

  // Whether the item's outputs so far have to be multiplied by `rescale`.
  template <bool kAny>
  __device__ __forceinline__ bool begin_softmax(bool starts, float (&rescale)[2]) {
    release_key();
    if constexpr (Shape::kTransformScores) {
#pragma unroll
      for (float& score : products_.scores) score = params_.transform.apply(score);
    }
    const bool masked = kAny && tile_ < item_.num_masked;
    if (masked) {
      const RowPlaces rows = store_.locate_rows(item_);
      mask_scores(products_.scores, shared_.records[record_.stage], params_.plan, rows.token, lane_);
    }
    record_.advance();
    bool grown = false;
    if (starts || masked || searches_) {
      const float slack = params_.exact_maxima ? 0.0f : kSlack;
      grown = softmax_.follow_maximum(products_.scores, params_.scale_log2, slack, starts, rescale);
      // After its first full tile every row has a maximum.
      searches_ = item_.exact || __any_sync(0xffffffff, softmax_.lacks_maximum());
    }
    softmax_.template exponentiate<0, Shape::kEarlyScores>(products_.scores, params_.scale_log2);
    // ptxas would sink the exponentials below the wait for the output, and so out from under it. It cannot move them
    // across a loop: waiting here for what comes next costs nothing, as it is needed soon.
    if (++tile_ < item_.num_tiles) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    else barrier_wait(&shared_.item_full[slot_.stage], slot_.phase);
    return grown;
  }

  __device__ __forceinline__ void end_softmax() {
    softmax_.template exponentiate<Shape::kEarlyScores, Shape::kCols / 2>(products_.scores, params_.scale_log2);
    products_.pack_probabilities();
  }

  __device__ __forceinline__ void release_key() {
    if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.k_empty[key_.stage]);
    key_.advance();
  }

  __device__ __forceinline__ void release_value(int stage) {
    if (threadIdx.x % 128 == 0) barrier_arrive(&shared_.v_empty[stage]);
  }

  const ForwardKernelParams& params_;
  ForwardShared<Shape>& shared_;
  const int warpgroup_;
  const int lane_;
  RingPosition<Shape::kItemStages> slot_;
  RingPosition<Shape::kQueryStages> query_;
  RingPosition<Shape::kStages> key_;
  RingPosition<Shape::kRecordStages> record_;
  ForwardProducts<Shape> products_;
  ForwardStore<Shape> store_;
  ConsumerItem item_{};       // the next scores are of this one
  ConsumerItem ending_{};     // the next output is of this one, where items cross
  int tile_ = 0;              // of item_, whose scores come next
  bool has_output_ = false;   // probabilities are there, and wait for their values
  bool searches_ = false;     // for the maximum of the next tile, masked or not
  OnlineSoftmax softmax_;
};

}  // namespace magi::ffa::sm90

#endif
