// The matrix products of backward whose first operand or result stays in a warp's registers.
#ifndef MAGI_FFA_SM80_BACKWARD_PRODUCTS_CUH
#define MAGI_FFA_SM80_BACKWARD_PRODUCTS_CUH

#include "mma.cuh"

namespace magi::ffa::sm80 {

// products = a b^T for 16 rows of a and all rows of b, over head_dim.
template <typename Element, typename RowTile, typename ColTile, int kBlocks>
__device__ __forceinline__ void row_products(float (&products)[kBlocks][4], const RowTile& a_tile, const ColTile& b_tile,
                                             int row0, int lane) {
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) products[n][0] = products[n][1] = products[n][2] = products[n][3] = 0.0f;
#pragma unroll
  for (int step = 0; step < RowTile::kWidth / 16; ++step) {
    uint32_t a[4];
    a_tile.load_a(a, row0, 2 * step, lane);
#pragma unroll
    for (int n = 0; n < kBlocks / 2; ++n) {
      uint32_t b[4];
      b_tile.load_b(b, 16 * n, 2 * step, lane);
      mma<Element>(products[2 * n], a, b[0], b[1]);
      mma<Element>(products[2 * n + 1], a, b[2], b[3]);
    }
  }
}

// sums += weights rows, where weights are in registers as an accumulator of row_products has them; for a part of the columns.
template <typename Element, typename Tile, int kBlocks, int kSumBlocks>
__device__ __forceinline__ void add_weighted_rows(float (&sums)[kSumBlocks][4], const uint32_t (&weights)[kBlocks][2],
                                                  const Tile& rows, int chunk0, int lane) {
#pragma unroll
  for (int step = 0; step < kBlocks / 2; ++step) {
    const uint32_t a[4] = {weights[2 * step][0], weights[2 * step][1], weights[2 * step + 1][0], weights[2 * step + 1][1]};
#pragma unroll
    for (int n = 0; n < kSumBlocks / 2; ++n) {
      uint32_t b[4];
      rows.load_b_transposed(b, 16 * step, chunk0 + 2 * n, lane);
      mma<Element>(sums[2 * n], a, b[0], b[1]);
      mma<Element>(sums[2 * n + 1], a, b[2], b[3]);
    }
  }
}

}  // namespace magi::ffa::sm80

#endif
