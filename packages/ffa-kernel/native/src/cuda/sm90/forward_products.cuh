// The matrix products of one warpgroup of the forward kernel, and the registers that they work on.
#ifndef MAGI_FFA_SM90_FORWARD_PRODUCTS_CUH
#define MAGI_FFA_SM90_FORWARD_PRODUCTS_CUH

#include "forward_types.cuh"

namespace magi::ffa::sm90 {

// Of a tile of kTileCols keys, which may be narrower than the widest one: then only the first registers are in use. Products run
// in the background from issue to wgmma_wait. ptxas keeps them going only if no branch in between concerns their registers.
template <typename Shape>
struct ForwardProducts {
  using T = typename Shape::Element;
  static constexpr int kDim = Shape::kHeadDim;

  float out[kDim / 2];
  float scores[Shape::kCols / 2];
  uint32_t probabilities[Shape::kCols / 16][4];
  uint64_t query_descriptor = 0;

  template <int kTileCols>
  __device__ __forceinline__ float (&tile_scores())[kTileCols / 2] {
    return *reinterpret_cast<float(*)[kTileCols / 2]>(&scores);
  }

  __device__ __forceinline__ void set_query(const void* query) { query_descriptor = matrix_descriptor(query, 16); }

  // scores = queries by keys.
  template <int kTileCols>
  __device__ __forceinline__ void issue_scores(const void* keys) {
    const uint64_t key_descriptor = matrix_descriptor(keys, 16);
    forget_registers(scores);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const uint32_t in_panel = (k % 4) * 32;
      wgmma_ss<T, kTileCols, 0, 0>(tile_scores<kTileCols>(),
                                   advance_descriptor(query_descriptor, (k / 4) * kWarpgroupRows * 128 + in_panel),
                                   advance_descriptor(key_descriptor, (k / 4) * kTileCols * 128 + in_panel), k > 0);
    }
    wgmma_commit();
  }

  // out = probabilities by values, added to what is there unless it is the `first` tile.
  template <int kTileCols>
  __device__ __forceinline__ void issue_output(const void* values, bool first) {
    const uint64_t value_descriptor = matrix_descriptor(values, kTileCols * 128);
    pin_registers(out);
    pin_registers(probabilities);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kTileCols / 16; ++k) {
      wgmma_rs<T, kDim, 1>(out, probabilities[k], advance_descriptor(value_descriptor, k * 16 * 128), k > 0 || !first);
    }
    wgmma_commit();
  }

  // A score accumulator has the layout of an A operand already.
  template <int kTileCols>
  __device__ __forceinline__ void pack_probabilities() {
#pragma unroll
    for (int k = 0; k < kTileCols / 16; ++k) {
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
