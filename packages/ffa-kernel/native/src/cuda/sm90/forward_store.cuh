// What a consumer does with the results of an item.
#ifndef MAGI_FFA_SM90_FORWARD_STORE_CUH
#define MAGI_FFA_SM90_FORWARD_STORE_CUH

#include "forward_epilogue.cuh"
#include "forward_products.cuh"
#include "online_softmax.cuh"

namespace magi::ffa::sm90 {

// A named barrier.
constexpr int kStageBarrier = 8;  // + warpgroup: its output is complete in shared memory, and whether it is good

template <typename Shape>
class ForwardStore {
 public:
  static constexpr int kDim = Shape::kHeadDim;

  __device__ ForwardStore(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int warpgroup)
      : params_(params), shared_(shared), warpgroup_(warpgroup), warp_(threadIdx.x / 32 % 4), lane_(threadIdx.x % 32) {}

  // The thread's two rows.
  __device__ __forceinline__ RowPlaces locate_rows(const ConsumerItem& item) const {
    RowPlaces rows;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = warpgroup_ * kWarpgroupRows + 16 * warp_ + lane_ / 4 + 8 * h;
      rows.token[h] = item.tile * params_.plan.tile_rows + (row >> params_.packed_log2);
      rows.head[h] = item.head * params_.packed + (row & (params_.packed - 1));
    }
    return rows;
  }

  // An item without tiles: no row has keys.
  __device__ __forceinline__ void store_empty(const ConsumerItem& item) const {
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

  __device__ __forceinline__ void store(const ConsumerItem& item, OnlineSoftmax& softmax, ForwardProducts<Shape>& products) {
    stored_query_ = item.query_stage;
    if (!item.stores) return;
    softmax.finish();
    const RowPlaces rows = locate_rows(item);
    const bool bad = !item.exact && outgrown(softmax, rows, products.out);
    RowResult results[2];
    finish_rows(params_, softmax, rows, results);
    products.scale_output({results[0].factor, results[1].factor});
    // Only this warpgroup has read these queries, and it is done with them.
    char* staged = shared_.q[item.query_stage][warpgroup_];
    if (params_.out_float == nullptr) {
      stage_rows<typename Shape::Element, kDim>(staged, products.out, warp_, lane_);
      fence_async_proxy();
    }
    if (any_of_warpgroup(bad)) {
      if (threadIdx.x % 128 == 0) retry_later(item);
      return;
    }
    if (params_.out_float != nullptr) {
      add_float_rows<kDim>(params_, products.out, rows, lane_, results);
      store_float_rows<kDim>(params_, products.out, rows, lane_);
    } else if (threadIdx.x % 128 == 0) {
      const int token = item.tile * params_.plan.tile_rows + ((warpgroup_ * kWarpgroupRows) >> params_.packed_log2);
      for (int box = 0; box < Shape::kBoxes; ++box) {
        tma_store(&params_.out_map, staged + box * kWarpgroupRows * 128, box * 64, 0, token, 0, item.head);
      }
      bulk_commit();
    }
    store_statistics(params_, softmax, rows, results, lane_);
  }

  // The output of an item lies in its query buffer until it has been stored.
  __device__ __forceinline__ void release_query() {
    if (stored_query_ < 0) return;
    if (threadIdx.x % 128 == 0) {
      bulk_wait_read<0>();
      barrier_arrive(&shared_.q_empty[stored_query_]);
    }
    stored_query_ = -1;
  }

 private:
  // Whether one of the thread's rows has left the range in which a stale maximum does no harm.
  __device__ __forceinline__ bool outgrown(const OnlineSoftmax& softmax, const RowPlaces& rows,
                                           const float (&out)[kDim / 2]) const {
    bool bad = false;
#pragma unroll
    for (int h = 0; h < 2; ++h) bad |= !(softmax.row_sum(h) < kLargestSum) && rows.token[h] < params_.total_q;
    if (__any_sync(0xffffffff, fmaxf(softmax.row_sum(0), softmax.row_sum(1)) > kDoubtfulSum)) {
#pragma unroll
      for (int i = 0; i < kDim / 2; ++i) bad |= !(fabsf(out[i]) < INFINITY);
    }
    return bad;
  }

  // A barrier, too: what all have staged is there.
  __device__ __forceinline__ bool any_of_warpgroup(bool value) const {
    static_assert(Shape::kConsumers == 2, "each has a barrier here");
    if (warpgroup_ == 0) return named_barrier_any<kStageBarrier, 128>(value);
    return named_barrier_any<kStageBarrier + 1, 128>(value);
  }

  __device__ void retry_later(const ConsumerItem& item) const {
    const int slot = atomicAdd(&shared_.num_retries, 1);
    if (slot >= kRetrySlots) __trap();
    shared_.retries[slot] = {item.tile, item.head, warpgroup_};
  }

  const ForwardKernelParams& params_;
  ForwardShared<Shape>& shared_;
  const int warpgroup_;
  const int warp_;
  const int lane_;
  int stored_query_ = -1;
};

}  // namespace magi::ffa::sm90

#endif
