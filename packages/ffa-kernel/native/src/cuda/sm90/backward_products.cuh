// The matrix products of a backward step, as chains of wgmma over swizzled panels.
#ifndef MAGI_FFA_SM90_BACKWARD_PRODUCTS_CUH
#define MAGI_FFA_SM90_BACKWARD_PRODUCTS_CUH

#include <cstdint>

#include "backward_config.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

constexpr int kStepDepth = 16;  // of one wgmma along the summed axis

// Descriptor units (16 bytes) from the start of a K-major tile to its k-th step: four steps a panel.
__host__ __device__ constexpr uint32_t row_step(int k, uint32_t panel_bytes) {
  return ((k / 4) * panel_bytes + (k % 4) * 32) >> 4;
}

// Likewise for an MN-major tile, whose 16 rows of 128 bytes are summed over.
__host__ __device__ constexpr uint32_t column_step(int k) { return (k * kStepDepth * 128) >> 4; }

// d[64, kCols] = a[64, kDepth] b[kCols, kDepth]^T, both in shared memory with the summed axis contiguous.
template <typename T, int kCols, int kDepth, uint32_t kPanelA, uint32_t kPanelB>
__device__ __forceinline__ void multiply_rows(float (&d)[kCols / 2], uint64_t a, uint64_t b) {
#pragma unroll
  for (int k = 0; k < kDepth / kStepDepth; ++k) {
    wgmma_ss<T, kCols, 0, 0>(d, a + row_step(k, kPanelA), b + row_step(k, kPanelB), k > 0);
  }
}

// d[64, kCols] (+)= a[64, kDepth] b[kDepth, kCols], a in registers. add false: the first step overwrites d.
template <typename T, int kCols, int kDepth>
__device__ __forceinline__ void multiply_registers(float (&d)[kCols / 2], const uint32_t (&a)[kDepth / kStepDepth][4], uint64_t b,
                                                   bool add) {
#pragma unroll
  for (int k = 0; k < kDepth / kStepDepth; ++k) wgmma_rs<T, kCols, 1>(d, a[k], b + column_step(k), k > 0 || add);
}

// d[64, kCols] = a[64, kDepth] b[kDepth, kCols], a with the summed axis contiguous.
template <typename T, int kCols, int kDepth, uint32_t kPanelA>
__device__ __forceinline__ void multiply_columns(float (&d)[kCols / 2], uint64_t a, uint64_t b) {
#pragma unroll
  for (int k = 0; k < kDepth / kStepDepth; ++k) {
    wgmma_ss<T, kCols, 0, 1>(d, a + row_step(k, kPanelA), b + column_step(k), k > 0);
  }
}

// d[64, kCols] (+)= a[kDepth, 64]^T b[kDepth, kCols].
template <typename T, int kCols, int kDepth>
__device__ __forceinline__ void multiply_transposed(float (&d)[kCols / 2], uint64_t a, uint64_t b, bool add) {
#pragma unroll
  for (int k = 0; k < kDepth / kStepDepth; ++k) {
    wgmma_ss<T, kCols, 1, 1>(d, a + column_step(k), b + column_step(k), k > 0 || add);
  }
}

// The products of one consumer. Each function issues a group, or two, which the caller waits for; until then registers that
// are read or written must be left alone.
template <typename Config, typename T>
class BackwardProducts {
  static constexpr int kDim = Config::kDim;
  static constexpr int kRows = Config::kQueryRows;
  static constexpr int kScores = kRows / 2;
  static constexpr int kGradCols = Config::kGradQueryCols;
  static constexpr uint32_t kPanel = Config::kQueryPanelBytes;
  static_assert(Config::kQueryTileElements / Config::kConsumers == kWarpgroupRows * kGradCols);

 public:
  __device__ __forceinline__ explicit BackwardProducts(BackwardStorage<Config>& storage)
      : storage_(storage), warpgroup_(__shfl_sync(0xFFFFFFFFu, threadIdx.x / 128 - 1, 0)) {}

  __device__ __forceinline__ int warpgroup() const { return warpgroup_; }

  // S^T = K Q^T.
  __device__ __forceinline__ void issue_scores(float (&scores)[kScores], int stage) {
    multiply_keys(scores, storage_.k, storage_.q[stage]);
  }

  // dP^T = V dO^T.
  __device__ __forceinline__ void issue_grad_probs(float (&grad_probs)[kScores], int stage) {
    multiply_keys(grad_probs, storage_.v, storage_.grad_out[stage]);
  }

  // dV += P^T dO.
  __device__ __forceinline__ void issue_grad_values(float (&grad_v)[kDim / 2], const uint32_t (&probs)[kRows / 16][4], int stage,
                                                    bool add) {
    pin_registers(grad_v);
    wgmma_fence();
    const uint64_t grad_out = matrix_descriptor(storage_.grad_out[stage], kPanel);
    multiply_registers<T, kDim, kRows>(grad_v, probs, grad_out, add);
    wgmma_commit();
  }

  // This consumer's part of dQ = dS K, and in a second group dK += dS^T Q.
  __device__ __forceinline__ void issue_grad_queries(float (&grad_queries)[kGradCols / 2], float (&grad_k)[kDim / 2], int buffer,
                                                     int query, bool add) {
    pin_registers(grad_queries);
    pin_registers(grad_k);
    wgmma_fence();
    const uint64_t grad_scores = matrix_descriptor(storage_.grad_scores[buffer], 0);
    const uint64_t keys = matrix_descriptor(storage_.k, Config::kKeyPanelBytes);
    // Its columns are a panel of K; or its rows are 64 of dS.
    constexpr uint32_t kKeyBytes = Config::kSplitsQueryCols ? Config::kKeyPanelBytes : 0;
    constexpr uint32_t kScoreBytes = Config::kSplitsQueryCols ? 0 : kWarpgroupRows * 128;
    multiply_columns<T, kGradCols, Config::kKeyRows, kPanel>(grad_queries, grad_scores + ((warpgroup_ * kScoreBytes) >> 4),
                                                             keys + ((warpgroup_ * kKeyBytes) >> 4));
    wgmma_commit();
    const uint64_t own_scores = grad_scores + ((warpgroup_ * kPanel) >> 4);
    multiply_transposed<T, kDim, kRows>(grad_k, own_scores, matrix_descriptor(storage_.q[query], kPanel), add);
    wgmma_commit();
  }

 private:
  // 64 keys by all queries of the tile.
  __device__ __forceinline__ void multiply_keys(float (&d)[kScores], const uint16_t* keys, const uint16_t* queries) {
    pin_registers(d);
    wgmma_fence();
    const uint64_t own_keys = matrix_descriptor(keys, 0) + ((warpgroup_ * kWarpgroupRows * 128) >> 4);
    multiply_rows<T, kRows, kDim, Config::kKeyPanelBytes, kPanel>(d, own_keys, matrix_descriptor(queries, 0));
    wgmma_commit();
  }

  BackwardStorage<Config>& storage_;
  const int warpgroup_;
};

}  // namespace magi::ffa::sm90

#endif
