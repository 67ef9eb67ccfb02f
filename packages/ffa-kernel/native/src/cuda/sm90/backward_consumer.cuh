// The warpgroups that multiply. Each owns 64 keys of the tile and keeps their gradients in registers through all steps.
//
// Scores are computed transposed, S^T = K Q^T and dP^T = V dO^T, so that P^T, as it comes out of the tensor cores, is the left
// operand of dV += P^T dO. dS goes through shared memory, for dQ = dS K needs it of all 128 keys.
//
// The two consumers need not run in step: one computes exponentials while the other multiplies. So dQ and dK of a step wait
// for the next one, when the other consumer's dS has long been there. In step m:
//   P(m) = exp2(S(m) - lse)        while dP(m) runs
//   issue dV(m), dQ(m - 1), dK(m - 1)
//   dS(m) = P * (dP - delta)       while these run
//   copy dQ(m - 1)                 while dK(m - 1) runs
//   issue S(m + 1), dP(m + 1)
// Where a step has 128 queries, there are fewer registers beside S and dP, and dV(m) is issued after dS(m).
#ifndef MAGI_FFA_SM90_BACKWARD_CONSUMER_CUH
#define MAGI_FFA_SM90_BACKWARD_CONSUMER_CUH

#include "backward_config.cuh"
#include "backward_epilogue.cuh"
#include "backward_mask.cuh"
#include "backward_products.cuh"
#include "backward_reducer.cuh"
#include "backward_scores.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

template <typename Config, typename T, bool kSoftcap>
class BackwardConsumer {
 public:
  __device__ __forceinline__ BackwardConsumer(const BackwardKernelParams& params, BackwardStorage<Config>& storage)
      : params_(params), storage_(storage), products_(storage), thread_(threadIdx.x % 128), warpgroup_(products_.warpgroup()) {
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
      // Its members are read where they are needed: registers are scarce.
      const BackwardItem& item = storage_.items[item_.stage];
      if (item.tile == BackwardItem::kEnd) return;
      run_item(item);
      __syncwarp();
      if (thread_ % 32 == 0) barrier_arrive(&storage_.item_empty[item_.stage]);
      item_.advance();
    }
  }

 private:
  static constexpr int kDim = Config::kDim;
  static constexpr int kRows = Config::kQueryRows;
  static constexpr int kScores = kRows / 2;  // registers of a thread
  static constexpr int kGroups = kRows / 16;
  static constexpr int kLastBlock = kRows / 64 - 1;  // of 64 columns
  static constexpr int kGradQueries = Config::kGradQueryCols / 2;

  // How many products may run at a time is a matter of registers.
  static constexpr bool kEarlyGradProbs = kRows == 64 || !kSoftcap;  // dP with S, else when P is there
  static constexpr bool kEarlyGradQueries = !kSoftcap;               // dQ and dK before dS is computed, else when it is stored
  // dV before dS is computed, when it is, or when it is stored.
  enum Order { kBeforeScoreGrads, kWithScoreGrads, kAfterScoreGrads };
  static constexpr Order kGradValuesAt = kRows == 64 ? kBeforeScoreGrads : kSoftcap ? kAfterScoreGrads : kWithScoreGrads;
  // Whether a step is masked is read before its products are issued, else while they run.
  static constexpr bool kEarlyFlags = kRows == 128;
  // Groups of products that are issued after S, and after dP, before these are needed.
  static constexpr int kAfterScores = kEarlyGradProbs ? 1 : 0;
  static constexpr int kAfterGradProbs = kGradValuesAt == kBeforeScoreGrads ? 1 : 0;

  // The step at query_.
  __device__ __forceinline__ bool is_masked() const {
    return storage_.steps[query_.stage].band_count != BackwardStep::kUnmasked;
  }

  __device__ __forceinline__ void find_mask(ScoreMask<kRows>& mask, const BackwardStep& place, int32_t key) {
    const BackwardStep step = place;
    mask.find(params_.plan, step, storage_.runs[step.run], key, params_.total_k, params_.packed_shift, lane_column_);
  }

  static __device__ __forceinline__ void apply_mask(uint32_t (&probs)[kGroups][4], const ScoreMask<kRows>& mask) {
#pragma unroll
    for (int j = 0; j < kRows / 8; ++j) {
#pragma unroll
      for (int h = 0; h < 2; ++h) probs[j / 2][2 * (j % 2) + h] = mask.keep(probs[j / 2][2 * (j % 2) + h], j, h);
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

  // dQ and dK of the step before this one (grad_ is at this one's place in its ring).
  __device__ __forceinline__ void issue_late_products(float (&grad_queries)[kGradQueries], float (&grad_k)[kDim / 2], int query,
                                                      bool add) {
    const int buffer = grad_.stage ^ 1;
    barrier_wait(&storage_.scores_full[buffer], grad_.phase ^ (grad_.stage ^ 1));
    products_.issue_grad_queries(grad_queries, grad_k, buffer, query, add);
  }

  // The registers of S that dQ does not take hold P: its later half, which is computed first, and then the other one, so that
  // each part takes the place of what it is made of.
  static __device__ __forceinline__ void keep_probs(float (&scores)[kScores], const uint32_t (&probs)[kGroups][4]) {
#pragma unroll
    for (int i = 0; i < kScores - kGradQueries; ++i) {
      scores[kGradQueries + i] = __uint_as_float(probs[(i / 4 + kGroups / 2) % kGroups][i % 4]);
    }
  }

  template <int kCount, int kBegin>
  static __device__ __forceinline__ float (&part_of(float (&registers)[kScores]))[kCount] {
    static_assert(kBegin + kCount <= kScores);
    return reinterpret_cast<float(&)[kCount]>(registers[kBegin]);
  }

  static __device__ __forceinline__ int before(int query) { return query == 0 ? Config::kQueryStages - 1 : query - 1; }
  static __device__ __forceinline__ int two_before(int query) { return before(before(query)); }

  // All of a step is done: its Q may be replaced, and its dS.
  __device__ __forceinline__ void release_step(int query, int buffer) {
    if (thread_ == 0) {
      barrier_arrive(&storage_.query_empty[query]);
      barrier_arrive(&storage_.scores_empty[buffer]);
    }
  }

  __device__ __forceinline__ void copy_grad_queries(const float (&grad_queries)[kGradQueries]) {
    wait_for_free_sums(warpgroup_);
    float4* target = reinterpret_cast<float4*>(storage_.grad_q[warpgroup_]) + thread_;
#pragma unroll
    for (int i = 0; i < Config::kGradQueryCols / 8; ++i) {
      target[i * 128] =
          make_float4(grad_queries[4 * i], grad_queries[4 * i + 1], grad_queries[4 * i + 2], grad_queries[4 * i + 3]);
    }
  }

  __device__ __forceinline__ void hand_over_grad_queries() {
    fence_async_proxy();
    signal_sums(warpgroup_);
  }

  // One thread: its warpgroup has read what the barrier guards.
  __device__ __forceinline__ void release(uint64_t* barrier) {
    if (thread_ == 0) barrier_arrive(barrier);
  }

  // The upper of the thread's two rows.
  __device__ __forceinline__ int32_t first_key(const BackwardItem& item) const {
    return item.tile * Config::kKeyRows + key_row_;
  }

  __device__ __forceinline__ void run_item(const BackwardItem& item) {
    const int32_t num_steps = item.num_steps;
    if (num_steps == 0) {
      store_zeros<Config, T>(params_, item, first_key(item));
      return;
    }
    float grad_k[kDim / 2];
    float grad_v[kDim / 2];
    float scores[kScores];
    float own_grad_probs[kScores];
    // The compiler has every product read what it overwrites. So registers of S are free for others only if these share its name.
    float(&grad_probs)[kScores] = kEarlyGradProbs ? own_grad_probs : scores;
    float(&grad_queries)[kGradQueries] = part_of<kGradQueries, 0>(scores);

    barrier_wait(&storage_.keys_full, key_phase_);
    barrier_wait(&storage_.query_full[query_.stage], query_.phase);
    bool masked = false;
    if constexpr (kEarlyFlags) masked = is_masked();
    products_.issue_scores(scores, query_.stage);
    barrier_wait(&storage_.values_full, key_phase_);
    key_phase_ ^= 1;
    barrier_wait(&storage_.grad_full[grad_.stage], grad_.phase);
    if constexpr (kEarlyGradProbs) products_.issue_grad_probs(grad_probs, grad_.stage);

#pragma unroll 1
    for (int32_t m = 0;; ++m) {
      const int query = query_.stage;
      const int stage = grad_.stage;  // of dO, and the buffer of dS
      uint32_t probs[kGroups][4];
      uint32_t slopes[kGroups][4];  // with softcap
      uint32_t grad_scores[kGroups][4];

      // All of this while S(m) is computed.
      ScoreMask<kRows> mask;
      if constexpr (!kEarlyFlags) masked = is_masked();
      if (masked) find_mask(mask, storage_.steps[query], first_key(item));
      ColumnConstants lse2;
      fetch_columns(lse2, storage_.lse2[query] + 64 * kLastBlock, lane_column_);
      wgmma_wait<kAfterScores>();  // S(m), and all of the step before
      pin_registers(scores);
      if (m > 1) release_step(two_before(query), stage);
      exponentials<T, kSoftcap, kLastBlock>(params_, scores, probs, slopes, lse2);
      if constexpr (kLastBlock > 0) {
        fetch_columns(lse2, storage_.lse2[query], lane_column_);
        exponentials<T, kSoftcap, 0>(params_, scores, probs, slopes, lse2);
      }
      if (masked) apply_mask(probs, mask);

      pin_registers(probs);
      if constexpr (kEarlyGradProbs) {
        keep_probs(scores, probs);
      } else {
        products_.issue_grad_probs(grad_probs, stage);
      }
      if constexpr (kGradValuesAt == kBeforeScoreGrads) products_.issue_grad_values(grad_v, probs, stage, m > 0);
      ColumnConstants delta;
      if constexpr (kEarlyGradQueries) {
        fetch_columns(delta, storage_.delta[stage], lane_column_);
        if (m > 0) {
          issue_late_products(grad_queries, grad_k, before(query), m > 1);
          wgmma_wait<kAfterGradProbs + 2>();  // dP(m)
        } else {
          wgmma_wait<kAfterGradProbs>();
        }
      } else {
        wgmma_wait<kAfterGradProbs>();
        fetch_columns(delta, storage_.delta[stage], lane_column_);
      }
      pin_registers(grad_probs);
      // Else the compiler takes P apart, which for float16 is work, before dP is there, and has no place for the parts.
      score_grads<T, kSoftcap, 0>(grad_probs, probs, slopes, grad_scores, delta);
      if constexpr (kLastBlock > 0) {
        fetch_columns(delta, storage_.delta[stage] + 64, lane_column_);
        score_grads<T, kSoftcap, 1>(grad_probs, probs, slopes, grad_scores, delta);
      }
      if constexpr (kGradValuesAt == kWithScoreGrads) products_.issue_grad_values(grad_v, probs, stage, m > 0);
      barrier_wait(&storage_.scores_empty[stage], grad_.phase ^ 1);
      store_score_grads(grad_scores, stage);
      fence_async_proxy();
      __syncwarp();
      if (thread_ % 32 == 0) barrier_arrive(&storage_.scores_full[stage]);
      if constexpr (kGradValuesAt == kAfterScoreGrads) products_.issue_grad_values(grad_v, probs, stage, m > 0);

      if constexpr (!kEarlyGradQueries) {
        if (m > 0) issue_late_products(grad_queries, grad_k, before(query), m > 1);
      }
      if (m > 0) {
        wgmma_wait<1>();  // all but dK(m - 1), or a late dV(m)
        pin_registers(grad_queries);
        copy_grad_queries(grad_queries);
      } else {
        wgmma_wait<0>();
      }
      if constexpr (kGradValuesAt != kBeforeScoreGrads) {
        wgmma_wait<0>();
        pin_registers(grad_v);
      }
      // By warp: others may still read delta.
      __syncwarp();
      if (thread_ % 32 == 0) barrier_arrive(&storage_.grad_empty[stage]);
      query_.advance();
      grad_.advance();
      if (m + 1 == num_steps) break;

      barrier_wait(&storage_.query_full[query_.stage], query_.phase);
      if constexpr (kEarlyFlags) masked = is_masked();
      products_.issue_scores(scores, query_.stage);
      barrier_wait(&storage_.grad_full[grad_.stage], grad_.phase);
      if constexpr (kEarlyGradProbs) products_.issue_grad_probs(grad_probs, grad_.stage);
      // Not before: the tensor cores would have little to do while the copy becomes visible.
      if (m > 0) hand_over_grad_queries();
    }

    const int last = before(query_.stage);
    if (num_steps > 1) hand_over_grad_queries();
    issue_late_products(grad_queries, grad_k, last, num_steps > 1);
    wgmma_wait<0>();
    pin_registers(grad_queries);
    pin_registers(grad_k);
    pin_registers(grad_v);
    if (num_steps > 1) release_step(before(last), grad_.stage);
    release(&storage_.keys_empty);
    copy_grad_queries(grad_queries);
    // Now that the copy was free, the reducer has read the step, too.
    release_step(last, grad_.stage ^ 1);
    hand_over_grad_queries();
    store_key_grads<Config, T>(params_, item, first_key(item), grad_k, grad_v);
  }

  const BackwardKernelParams& params_;
  BackwardStorage<Config>& storage_;
  BackwardProducts<Config, T> products_;
  RingPosition<Config::kQueryStages> query_;
  RingPosition<Config::kGradStages> grad_;
  RingPosition<Config::kItemSlots> item_;
  uint32_t key_phase_ = 0;
  const int thread_;  // in the warpgroup
  const int warpgroup_;
  int key_row_;      // of the tile: the upper of the thread's two
  int lane_column_;  // first column of the thread in a tile of S^T
  uint32_t store_offset_;
};

}  // namespace magi::ffa::sm90

#endif
