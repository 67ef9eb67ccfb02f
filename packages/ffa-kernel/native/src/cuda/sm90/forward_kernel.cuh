// Forward attention on Hopper: one persistent block a multiprocessor. Warpgroup 0 loads and schedules; the others multiply,
// each 64 rows of an item, taking turns at the tensor cores so that one's softmax runs under the other's products. The
// structure is FlashAttention-3's (arXiv:2407.08608): within a warpgroup, too, the scores of tile j + 1 are issued before
// tile j's probabilities meet the values.
#ifndef MAGI_FFA_SM90_FORWARD_KERNEL_CUH
#define MAGI_FFA_SM90_FORWARD_KERNEL_CUH

#include "forward_epilogue.cuh"
#include "forward_loader.cuh"
#include "forward_scheduler.cuh"
#include "online_softmax.cuh"
#include "score_mask.cuh"

namespace magi::ffa::sm90 {

// Named barriers.
constexpr int kTurnBarrier = 1;   // + warpgroup: its turn at the tensor cores
constexpr int kStageBarrier = 8;  // + warpgroup: its output is complete in shared memory

template <typename Shape>
class ForwardConsumer {
 public:
  using T = typename Shape::Element;
  static constexpr int kDim = Shape::kHeadDim;
  static constexpr int kCols = Shape::kCols;
  static constexpr int kConsumers = Shape::kConsumers;

  __device__ ForwardConsumer(const ForwardKernelParams& params, ForwardShared<Shape>& shared, int warpgroup)
      : params_(params), shared_(shared), warpgroup_(warpgroup), warp_(threadIdx.x / 32 % 4), lane_(threadIdx.x % 32) {}

  __device__ __forceinline__ void run() {
    // Someone has to go first.
    if (warpgroup_ == kConsumers - 1) named_barrier_arrive(kTurnBarrier, 256);
    while (true) {
      barrier_wait(&shared_.item_full[slot_.stage], slot_.phase);
      const ForwardItem& item = shared_.items[slot_.stage];
      const int tile = item.tile;
      const int head = item.head;
      const int num_tiles = item.num_tiles;
      const int num_masked = item.num_masked;
      __syncwarp();
      if (lane_ == 0) barrier_arrive(&shared_.item_empty[slot_.stage]);
      slot_.advance();
      if (tile < 0) break;
      locate_rows(tile, head);
      compute_item(tile, head, num_tiles, num_masked);
    }
    bulk_wait_read<0>();
  }

 private:
  __device__ __forceinline__ void locate_rows(int tile, int head) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = warpgroup_ * kWarpgroupRows + 16 * warp_ + lane_ / 4 + 8 * h;
      rows_.token[h] = tile * params_.plan.tile_rows + (row >> params_.packed_log2);
      rows_.head[h] = head * params_.packed + (row & (params_.packed - 1));
    }
  }

  __device__ __forceinline__ void compute_item(int tile, int head, int num_tiles, int num_masked) {
    OnlineSoftmax softmax;
    if (num_tiles == 0) {
#pragma unroll
      for (int i = 0; i < kDim / 2; ++i) out_[i] = 0.0f;
      store_empty(softmax);
      return;
    }
    barrier_wait(&shared_.q_full[query_.stage], query_.phase);
    barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    query_descriptor_ = matrix_descriptor(shared_.q[query_.stage][warpgroup_], 16);

    issue_scores();
    release_previous_query();
    wgmma_wait<0>();
    pin_registers(scores_);
    release_key();
    transform_scores();
    if (num_masked > 0) mask_scores<kCols>(scores_, shared_.records[record_.stage], params_.plan, rows_.token, lane_);
    record_.advance();
    float rescale[2];
    softmax.template update<true, true>(scores_, params_.scale_log2, rescale);
    pack_probabilities();
    if (num_tiles > 1) barrier_wait(&shared_.k_full[key_.stage], key_.phase);

    int i = 1;
#pragma unroll 1
    for (; i < num_masked; ++i) step<true>(softmax, i == 1, i + 1 < num_tiles);
#pragma unroll 1
    for (; i < num_tiles; ++i) step<false>(softmax, i == 1, i + 1 < num_tiles);

    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    issue_output(num_tiles == 1);
    softmax.finish();
    wgmma_wait<0>();
    pin_registers(out_);
    release_value();
    store(tile, head, softmax);
  }

  // Scores of the next tile, then the output of the tile before, with the softmax of the former under the latter.
  template <bool kMasked>
  __device__ __forceinline__ void step(OnlineSoftmax& softmax, bool first_output, bool has_next) {
    named_barrier_sync(kTurnBarrier + warpgroup_, 256);
    issue_scores();
    barrier_wait(&shared_.v_full[value_.stage], value_.phase);
    issue_output(first_output);
    named_barrier_arrive(kTurnBarrier + (warpgroup_ + 1) % kConsumers, 256);
    wgmma_wait<1>();
    pin_registers(scores_);
    release_key();
    transform_scores();
    if constexpr (kMasked) mask_scores<kCols>(scores_, shared_.records[record_.stage], params_.plan, rows_.token, lane_);
    record_.advance();
    float rescale[2];
    softmax.template update<false, kMasked>(scores_, params_.scale_log2, rescale);
    // ptxas would sink the exponentials below the wait for the output, and so out from under it. It cannot move them
    // across a loop: waiting for the next keys here costs nothing, as they are needed soon.
    if (has_next) barrier_wait(&shared_.k_full[key_.stage], key_.phase);
    wgmma_wait<0>();
    pin_registers(out_);
    release_value();
    pack_probabilities();
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) out_[i] *= rescale[(i / 2) % 2];
  }

  __device__ __forceinline__ void issue_scores() {
    const uint64_t keys = matrix_descriptor(shared_.k[key_.stage], 16);
    pin_registers(scores_);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const uint64_t in_panel = (k % 4) * (32 >> 4);
      wgmma_ss<T, kCols, 0, 0>(scores_, query_descriptor_ + (k / 4) * (kWarpgroupRows * 128 >> 4) + in_panel,
                               keys + (k / 4) * (kCols * 128 >> 4) + in_panel, k > 0);
    }
    wgmma_commit();
  }

  __device__ __forceinline__ void issue_output(bool first) {
    const uint64_t values = matrix_descriptor(shared_.v[value_.stage], kCols * 128);
    pin_registers(out_);
    pin_registers(probabilities_);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kCols / 16; ++k) {
      wgmma_rs<T, kDim, 1>(out_, probabilities_[k], values + k * (16 * 128 >> 4), k > 0 || !first);
    }
    wgmma_commit();
  }

  // A score accumulator has the layout of an A operand already.
  __device__ __forceinline__ void pack_probabilities() {
#pragma unroll
    for (int k = 0; k < kCols / 16; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) probabilities_[k][r] = pack_pair<T>(scores_[8 * k + 2 * r], scores_[8 * k + 2 * r + 1]);
    }
  }

  __device__ __forceinline__ void transform_scores() {
    if constexpr (Shape::kTransformScores) {
      const bool capped = params_.softcap > 0.0f;
      const float scale = capped ? params_.softmax_scale / params_.softcap : params_.softmax_scale;
#pragma unroll
      for (int i = 0; i < kCols / 2; ++i) {
        const float score = scores_[i] * scale;
        scores_[i] = capped ? tanh_approx(score) : score;
      }
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

  // The output of the item before last lies in a query buffer until it has been stored.
  __device__ __forceinline__ void release_previous_query() {
    if (previous_query_ < 0) return;
    if (threadIdx.x % 128 == 0) {
      bulk_wait_read<0>();
      barrier_arrive(&shared_.q_empty[previous_query_]);
    }
    previous_query_ = -1;
  }

  __device__ __forceinline__ void store_empty(const OnlineSoftmax& softmax) {
    float factors[2], keep[2];
    finish_rows(params_, softmax, rows_, lane_, factors, keep);
    if (params_.accumulate) return;
    if (params_.out_float != nullptr) {
      store_float_rows<kDim>(params_, out_, rows_, lane_, keep);
      return;
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      if (rows_.token[h] >= params_.total_q) continue;
      const int64_t row = static_cast<int64_t>(rows_.token[h]) * params_.num_heads_q + rows_.head[h];
      uint32_t* target = static_cast<uint32_t*>(params_.out) + row * (kDim / 2) + lane_ % 4;
      for (int i = 0; i < kDim / 8; ++i) target[4 * i] = 0;
    }
  }

  __device__ __forceinline__ void store(int tile, int head, OnlineSoftmax& softmax) {
    float factors[2], keep[2];
    finish_rows(params_, softmax, rows_, lane_, factors, keep);
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) out_[i] *= factors[(i / 2) % 2];
    if (params_.out_float != nullptr) {
      store_float_rows<kDim>(params_, out_, rows_, lane_, keep);
    } else {
      // Only this warpgroup has read these queries, and it is done with them.
      char* staged = shared_.q[query_.stage][warpgroup_];
      stage_rows<T, kDim>(staged, out_, warp_, lane_);
      fence_async_proxy();
      named_barrier_sync(kStageBarrier + warpgroup_, 128);
      if (threadIdx.x % 128 == 0) {
        const int token = tile * params_.plan.tile_rows + ((warpgroup_ * kWarpgroupRows) >> params_.packed_log2);
        tma_store(&params_.out_map, staged, 0, 0, token, 0, head);
        bulk_commit();
      }
    }
    previous_query_ = query_.stage;
    query_.advance();
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
  int previous_query_ = -1;
  uint64_t query_descriptor_ = 0;
  RowPlaces rows_;
  float out_[kDim / 2];
  float scores_[kCols / 2];
  uint32_t probabilities_[kCols / 16][4];
};

template <typename Shape>
__device__ __forceinline__ void init_barriers(ForwardShared<Shape>& shared) {
  constexpr int kConsumers = Shape::kConsumers;
  for (int i = 0; i < Shape::kStages; ++i) {
    barrier_init(&shared.k_full[i], 1);
    barrier_init(&shared.v_full[i], 1);
    barrier_init(&shared.k_empty[i], kConsumers);
    barrier_init(&shared.v_empty[i], kConsumers);
  }
  for (int i = 0; i < Shape::kQueryStages; ++i) {
    barrier_init(&shared.q_full[i], 1);
    barrier_init(&shared.q_empty[i], kConsumers);
  }
  for (int i = 0; i < Shape::kItemStages; ++i) {
    barrier_init(&shared.item_full[i], 1);
    barrier_init(&shared.item_empty[i], 4 * kConsumers + 1);
  }
  fence_barrier_init();
}

template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    forward_kernel(const __grid_constant__ ForwardKernelParams params) {
  extern __shared__ char dynamic_shared[];
  auto& shared = *reinterpret_cast<ForwardShared<Shape>*>(
      dynamic_shared + ((1024 - (smem_address(dynamic_shared) & 1023)) & 1023));
  const int warpgroup = __shfl_sync(0xffffffff, threadIdx.x / 128, 0);
  const int warp = __shfl_sync(0xffffffff, threadIdx.x / 32 % 4, 0);
  const int lane = threadIdx.x % 32;
  if (threadIdx.x == 0) init_barriers(shared);
  __syncthreads();

  if (warpgroup == 0) {
    give_registers<Shape::kLoaderRegisters>();
    if (warp == 0) {
      if (elect_one()) {
        prefetch_tensor_map(&params.q_map);
        prefetch_tensor_map(&params.k_map);
        prefetch_tensor_map(&params.v_map);
        prefetch_tensor_map(&params.out_map);
      }
      __syncwarp();
      load_items(params, shared, lane);
    } else if (warp == 1) {
      schedule_items(params, shared, lane);
    }
  } else {
    take_registers<Shape::kConsumerRegisters>();
    ForwardConsumer<Shape>(params, shared, warpgroup - 1).run();
  }
}

}  // namespace magi::ffa::sm90

#endif
