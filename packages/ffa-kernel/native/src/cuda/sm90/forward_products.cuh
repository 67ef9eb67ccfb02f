// The matrix products of one warpgroup of the forward kernel, and the registers that they work on.
#ifndef MAGI_FFA_SM90_FORWARD_PRODUCTS_CUH
#define MAGI_FFA_SM90_FORWARD_PRODUCTS_CUH

#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// Products run in the background from issue to wgmma_wait. ptxas keeps them going only if no branch in between concerns their
// registers.
template <typename Shape>
struct ForwardProducts {
  using T = typename Shape::Element;
  static constexpr int kDim = Shape::kHeadDim;
  static constexpr int kCols = Shape::kCols;

  float out[kDim / 2];
  float scores[kCols / 2];
  uint32_t probabilities[kCols / 16][4];
  uint64_t query_descriptor = 0;

  __device__ __forceinline__ void set_query(const void* query) { query_descriptor = matrix_descriptor(query, 16); }

  static __device__ __forceinline__ uint64_t keys_of(const void* keys) { return uniform_descriptor(matrix_descriptor(keys, 16)); }

  static __device__ __forceinline__ uint64_t values_of(const void* values) {
    return uniform_descriptor(matrix_descriptor(values, kCols * 128));
  }

  // scores = queries by keys.
  __device__ __forceinline__ void issue_scores(uint64_t key_descriptor) {
    forget_registers(scores);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const uint32_t in_panel = (k % 4) * 32;
      wgmma_ss<T, kCols, 0, 0>(scores, advance_descriptor(query_descriptor, (k / 4) * kWarpgroupRows * 128 + in_panel),
                               advance_descriptor(key_descriptor, (k / 4) * kCols * 128 + in_panel), k > 0);
    }
    wgmma_commit();
  }

  // out = probabilities by values, added to what is there unless it is the `first` tile. Calls near_end() when that is nearly
  // issued.
  template <typename F>
  __device__ __forceinline__ void issue_output(uint64_t value_descriptor, bool first, F&& near_end) {
    pin_registers(out);
    pin_registers(probabilities);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kCols / 16; ++k) {
      if (k == kCols / 16 - 2) near_end();
      wgmma_rs<T, kDim, 1>(out, probabilities[k], advance_descriptor(value_descriptor, k * 16 * 128), k > 0 || !first);
    }
    wgmma_commit();
  }

  // A score accumulator has the layout of an A operand already.
  __device__ __forceinline__ void pack_probabilities() {
#pragma unroll
    for (int k = 0; k < kCols / 16; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) probabilities[k][r] = pack_pair<T>(scores[8 * k + 2 * r], scores[8 * k + 2 * r + 1]);
    }
  }

  // factors: of the thread's two rows.
  __device__ __forceinline__ void scale_output(const float (&factors)[2]) {
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) out[i] *= factors[(i / 2) % 2];
  }
};

}  // namespace magi::ffa::sm90

#endif
