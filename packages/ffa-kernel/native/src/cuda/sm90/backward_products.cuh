// The matrix products of a backward step, as chains of wgmma over swizzled panels. The caller fences, commits and waits.
#ifndef MAGI_FFA_SM90_BACKWARD_PRODUCTS_CUH
#define MAGI_FFA_SM90_BACKWARD_PRODUCTS_CUH

#include <cstdint>

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

}  // namespace magi::ffa::sm90

#endif
