// The warpgroups that multiply. Each owns 64 keys of the tile and keeps their gradients in registers through all steps.
//
// Scores are computed transposed, S^T = K Q^T and dP^T = V dO^T, so that P^T and dS^T, as they come out of the tensor cores, are
// the left operands of dV += P^T dO and dK += dS^T Q. Only dQ = dS K needs dS of all 128 keys: through shared memory.
//
// What is issued, and what runs beside it, in step m:
//   issue dP(m)                | P(m) = exp2(S(m) - lse)           while dK(m - 1) and dP(m) run
//   issue dV(m), S(m + 1)      | dS(m) = P * (dP - delta)          while dV(m) and S(m + 1) run
//   issue dQ(m), dK(m)         | dQ(m) is added to global memory   while dK(m) runs
#ifndef MAGI_FFA_SM90_BACKWARD_CONSUMER_CUH
#define MAGI_FFA_SM90_BACKWARD_CONSUMER_CUH

#include "backward_config.cuh"
#include "backward_mask.cuh"
#include "backward_products.cuh"
#include "backward_turns.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

__device__ __forceinline__ void add_to_global(float* target, float a, float b, float c, float d) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(target), "f"(a), "f"(b), "f"(c), "f"(d)
               : "memory");
}

template <typename Config, typename T, bool kSoftcap>
class BackwardConsumer {
 public:
  __device__ __forceinline__ BackwardConsumer(const BackwardKernelParams& params, BackwardStorage<Config>& storage)
      : params_(params), storage_(storage) {
    thread_ = threadIdx.x % 128;
    warpgroup_ = __shfl_sync(0xFFFFFFFFu, threadIdx.x / 128 - 1, 0);
    const int warp = thread_ / 32, lane = thread_ % 32;
    key_row_ = warpgroup_ * kWarpgroupRows + warp * 16 + lane / 4;
    lane_column_ = 2 * (lane % 4);
    // stmatrix: this lane's query row in a group of 16, and its chunk of 8 keys in the panel of 64 that the warpgroup writes.
    const int query = (lane >> 4) * 8 + (lane & 7);
    const int chunk = 2 * warp + ((lane >> 3) & 1);
    store_offset_ = warpgroup_ * Config::kQueryPanelBytes + query * 128 + ((chunk ^ (query & 7)) << 4);
  }

  __device__ __forceinline__ void run() {
    for (;;) {
      barrier_wait(&storage_.item_full[item_.stage], item_.phase);
      const BackwardItem item = storage_.items[item_.stage];
      __syncwarp();
      if (thread_ % 32 == 0) barrier_arrive(&storage_.item_empty[item_.stage]);
      item_.advance();
      if (item.tile == BackwardItem::kEnd) return;
      run_item(item);
    }
  }

 private:
  static constexpr int kDim = Config::kDim;
  static constexpr int kRows = Config::kQueryRows;
  static constexpr int kScores = kRows / 2;  // registers of a thread
  static constexpr int kGroups = kRows / 16;
  // With softcap the registers of S hold its derivative until dS is there, so the next S cannot come early.
  static constexpr bool kEarlyScores = !kSoftcap;

  __device__ __forceinline__ void issue_scores(float (&scores)[kScores], int stage) {
    pin_registers(scores);
    wgmma_fence();
    const uint64_t k = matrix_descriptor(storage_.k, 0) + ((warpgroup_ * kWarpgroupRows * 128) >> 4);
    const uint64_t q = matrix_descriptor(storage_.q[stage], 0);
    multiply_rows<T, kRows, kDim, Config::kKeyPanelBytes, Config::kQueryPanelBytes>(scores, k, q);
    wgmma_commit();
  }

  // An empty group, if there is no next step, so that later waits count alike.
  __device__ __forceinline__ void issue_next_scores(float (&scores)[kScores], bool has_next) {
    if (has_next) {
      barrier_wait(&storage_.query_full[query_.stage], query_.phase);
      issue_scores(scores, query_.stage);
    } else {
      wgmma_commit();
    }
  }

  __device__ __forceinline__ void issue_grad_probs(float (&grad_probs)[kScores], int stage) {
    pin_registers(grad_probs);
    wgmma_fence();
    const uint64_t v = matrix_descriptor(storage_.v, 0) + ((warpgroup_ * kWarpgroupRows * 128) >> 4);
    const uint64_t grad_out = matrix_descriptor(storage_.grad_out[stage], 0);
    multiply_rows<T, kRows, kDim, Config::kKeyPanelBytes, Config::kQueryPanelBytes>(grad_probs, v, grad_out);
    wgmma_commit();
  }

  // P^T in 16 bits. With softcap, scores become P * (1 - tanh^2).
  __device__ __forceinline__ void exponentials(float (&scores)[kScores], uint32_t (&probs)[kGroups][4], int stage) {
    const float* lse2 = storage_.lse2[stage] + lane_column_;
#pragma unroll
    for (int j = 0; j < kRows / 8; ++j) {
      const float2 row = *reinterpret_cast<const float2*>(lse2 + 8 * j);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float* pair = scores + 4 * j + 2 * h;
        float slope0 = 1.0f, slope1 = 1.0f;
        if constexpr (kSoftcap) {
          pair[0] = tanh_approx(pair[0] * params_.softcap_scale);
          pair[1] = tanh_approx(pair[1] * params_.softcap_scale);
          slope0 = 1.0f - pair[0] * pair[0];
          slope1 = 1.0f - pair[1] * pair[1];
        }
        pair[0] = exp2_approx(pair[0] * params_.scale_log2 - row.x);
        pair[1] = exp2_approx(pair[1] * params_.scale_log2 - row.y);
        probs[j / 2][2 * (j % 2) + h] = pack_pair<T>(pair[0], pair[1]);
        if constexpr (kSoftcap) {
          pair[0] = slope0;
          pair[1] = slope1;
        }
      }
    }
  }

  __device__ __forceinline__ void apply_mask(uint32_t (&probs)[kGroups][4], const BackwardStep& step, int32_t key) {
    const ScoreMask<kRows> mask(params_.plan, step, key, params_.total_k, params_.packed_shift, lane_column_);
#pragma unroll
    for (int j = 0; j < kRows / 8; ++j) {
#pragma unroll
      for (int h = 0; h < 2; ++h) probs[j / 2][2 * (j % 2) + h] = mask.keep(probs[j / 2][2 * (j % 2) + h], j, h);
    }
  }

  __device__ __forceinline__ void score_grads(const float (&scores)[kScores], const float (&grad_probs)[kScores],
                                              const uint32_t (&probs)[kGroups][4], uint32_t (&grad_scores)[kGroups][4],
                                              int stage) {
    const float* delta = storage_.delta[stage] + lane_column_;
#pragma unroll
    for (int j = 0; j < kRows / 8; ++j) {
      const float2 row = *reinterpret_cast<const float2*>(delta + 8 * j);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int at = 4 * j + 2 * h;
        float2 p = unpack_pair<T>(probs[j / 2][2 * (j % 2) + h]);
        if constexpr (kSoftcap) {
          p.x *= scores[at];
          p.y *= scores[at + 1];
        }
        grad_scores[j / 2][2 * (j % 2) + h] =
            pack_pair<T>(p.x * (grad_probs[at] - row.x), p.y * (grad_probs[at + 1] - row.y));
      }
    }
  }

  __device__ __forceinline__ void store_score_grads(const uint32_t (&grad_scores)[kGroups][4], int buffer) {
    const uint32_t address = smem_address(storage_.grad_scores[buffer]) + store_offset_;
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
      store_matrices_transposed(address + i * 16 * 128, grad_scores[i][0], grad_scores[i][1], grad_scores[i][2],
                                grad_scores[i][3]);
    }
  }

  __device__ __forceinline__ void issue_grad_queries(float (&grad_queries)[Config::kGradQueryCols / 2], int buffer) {
    pin_registers(grad_queries);
    wgmma_fence();
    uint64_t grad_scores = matrix_descriptor(storage_.grad_scores[buffer], 0);
    uint64_t k = matrix_descriptor(storage_.k, Config::kKeyPanelBytes);
    if constexpr (Config::kSplitColumns) {
      static_assert(Config::kGradQueryCols == 64 || !Config::kSplitColumns, "a panel of keys for each warpgroup");
      k += (warpgroup_ * Config::kKeyPanelBytes) >> 4;
    } else {
      grad_scores += (warpgroup_ * kWarpgroupRows * 128) >> 4;
    }
    multiply_columns<T, Config::kGradQueryCols, Config::kKeyRows, Config::kQueryPanelBytes>(grad_queries, grad_scores, k);
    wgmma_commit();
  }

  __device__ __forceinline__ void add_grad_queries(const float (&grad_queries)[Config::kGradQueryCols / 2], int32_t query_tile) {
    float* target = params_.grad_q + int64_t{query_tile} * Config::kQueryTileElements +
                    warpgroup_ * (Config::kQueryTileElements / 2) + thread_ * 4;
#pragma unroll
    for (int i = 0; i < Config::kGradQueryCols / 8; ++i) {
      add_to_global(target + i * 512, grad_queries[4 * i], grad_queries[4 * i + 1], grad_queries[4 * i + 2],
                    grad_queries[4 * i + 3]);
    }
  }

  // One thread: its warpgroup has read what the barrier guards.
  __device__ __forceinline__ void release(uint64_t* barrier) {
    if (thread_ == 0) barrier_arrive(barrier);
  }

  __device__ __forceinline__ void run_item(const BackwardItem& item) {
    if (item.num_steps == 0) {
      if (params_.schedule.num_chunks == 1) store_zeros(item);
      return;
    }
    float grad_k[kDim / 2];
    float grad_v[kDim / 2];
    float scores[kScores];
    const int32_t key = item.tile * Config::kKeyRows + key_row_;

    barrier_wait(&storage_.keys_full, key_phase_);
    barrier_wait(&storage_.query_full[query_.stage], query_.phase);
    issue_scores(scores, query_.stage);
    wgmma_wait<0>();
    pin_registers(scores);
    barrier_wait(&storage_.values_full, key_phase_);
    key_phase_ ^= 1;

#pragma unroll 1
    for (int32_t m = 0; m < item.num_steps; ++m) {
      const int query = query_.stage;
      const int grad = grad_.stage;
      float grad_probs[kScores];
      uint32_t probs[kGroups][4];
      uint32_t grad_scores[kGroups][4];

      barrier_wait(&storage_.grad_full[grad], grad_.phase);
      issue_grad_probs(grad_probs, grad);

      exponentials(scores, probs, query);
      if (storage_.steps[query].band_count != BackwardStep::kUnmasked) apply_mask(probs, storage_.steps[query], key);

      wgmma_wait<1>();  // dK of the step before
      if (m > 0) release(&storage_.query_empty[query == 0 ? Config::kQueryStages - 1 : query - 1]);

      pin_registers(probs);
      pin_registers(grad_v);
      wgmma_fence();
      multiply_registers<T, kDim, kRows>(grad_v, probs, matrix_descriptor(storage_.grad_out[grad], Config::kQueryPanelBytes),
                                         m > 0);
      wgmma_commit();

      query_.advance();
      if constexpr (kEarlyScores) {
        issue_next_scores(scores, m + 1 < item.num_steps);
        wgmma_wait<2>();  // dP
      } else {
        wgmma_wait<1>();
      }
      pin_registers(grad_probs);
      score_grads(scores, grad_probs, probs, grad_scores, grad);
      store_score_grads(grad_scores, grad);
      fence_async_proxy();
      named_barrier_sync(kScoreGradsBarrier, Config::kConsumers * 128);

      if constexpr (!kEarlyScores) issue_next_scores(scores, m + 1 < item.num_steps);
      wgmma_wait<1>();  // dV: its registers are wanted
      float grad_queries[Config::kGradQueryCols / 2];
      issue_grad_queries(grad_queries, grad);

      pin_registers(grad_scores);
      pin_registers(grad_k);
      wgmma_fence();
      multiply_registers<T, kDim, kRows>(grad_k, grad_scores, matrix_descriptor(storage_.q[query], Config::kQueryPanelBytes),
                                         m > 0);
      wgmma_commit();

      wgmma_wait<1>();  // all but dK
      pin_registers(grad_queries);
      pin_registers(scores);
      release(&storage_.grad_empty[grad]);
      grad_.advance();
      const int32_t query_tile = storage_.steps[query].query_tile;
      if (params_.turns != nullptr) {
        BackwardTurn turn(params_, query_tile, item.tile, warpgroup_);
        turn.wait(thread_);
        add_grad_queries(grad_queries, query_tile);
        turn.pass(thread_);
      } else {
        add_grad_queries(grad_queries, query_tile);
      }
    }
    wgmma_wait<0>();
    pin_registers(grad_k);
    pin_registers(grad_v);
    release(&storage_.query_empty[query_.stage == 0 ? Config::kQueryStages - 1 : query_.stage - 1]);
    release(&storage_.keys_empty);
    store_key_grads(item, key, grad_k, grad_v);
  }

  __device__ __forceinline__ void store_key_grads(const BackwardItem& item, int32_t key, const float (&grad_k)[kDim / 2],
                                                  const float (&grad_v)[kDim / 2]) {
    if (params_.schedule.num_chunks > 1) {
      const int64_t tile = int64_t{item.head} * params_.plan.num_tiles + item.tile;
      const int64_t at = tile * Config::kKeyTileElements + warpgroup_ * (Config::kKeyTileElements / 2) + thread_ * 4;
#pragma unroll
      for (int i = 0; i < kDim / 8; ++i) {
        add_to_global(params_.grad_k_sum + at + i * 512, grad_k[4 * i], grad_k[4 * i + 1], grad_k[4 * i + 2], grad_k[4 * i + 3]);
        add_to_global(params_.grad_v_sum + at + i * 512, grad_v[4 * i], grad_v[4 * i + 1], grad_v[4 * i + 2], grad_v[4 * i + 3]);
      }
      return;
    }
    store_rows(params_.grad_k, item.head, key, grad_k, params_.softmax_scale);
    store_rows(params_.grad_v, item.head, key, grad_v, 1.0f);
  }

  __device__ __forceinline__ void store_rows(void* target, int32_t head, int32_t key, const float (&grad)[kDim / 2], float scale) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int32_t row = key + 8 * h;
      if (row >= params_.total_k) continue;
      const int64_t at = (int64_t{row} * params_.num_heads_kv + head) * kDim + lane_column_;
#pragma unroll
      for (int j = 0; j < kDim / 8; ++j) {
        const float x = grad[4 * j + 2 * h] * scale;
        const float y = grad[4 * j + 2 * h + 1] * scale;
        if (params_.float_grads) {
          *reinterpret_cast<float2*>(static_cast<float*>(target) + at + 8 * j) = make_float2(x, y);
        } else {
          *reinterpret_cast<uint32_t*>(static_cast<uint16_t*>(target) + at + 8 * j) = pack_pair<T>(x, y);
        }
      }
    }
  }

  // A key that no query sees.
  __device__ __forceinline__ void store_zeros(const BackwardItem& item) {
    float zeros[kDim / 2];
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) zeros[i] = 0.0f;
    store_key_grads(item, item.tile * Config::kKeyRows + key_row_, zeros, zeros);
  }

  static constexpr int kScoreGradsBarrier = 1;

  const BackwardKernelParams& params_;
  BackwardStorage<Config>& storage_;
  RingPosition<Config::kQueryStages> query_;
  RingPosition<Config::kGradStages> grad_;
  RingPosition<Config::kItemSlots> item_;
  uint32_t key_phase_ = 0;
  int thread_;       // in the warpgroup
  int warpgroup_;
  int key_row_;      // of the tile: the upper of the thread's two
  int lane_column_;  // first column of the thread in a tile of S^T
  uint32_t store_offset_;
};

}  // namespace magi::ffa::sm90

#endif
