// Tile shapes of the portable kernels. They fit the 99 KiB of shared memory that a block has on the smallest GPUs.
#ifndef MAGI_FFA_SM80_SHAPES_HPP
#define MAGI_FFA_SM80_SHAPES_HPP

#include <cstdint>

namespace magi::ffa::sm80 {

// The head_dim that kernels are compiled for: the next one from `head_dim` on; elements beyond head_dim count as zeros.
inline int32_t padded_head_dim(int32_t head_dim) {
  if (head_dim <= 64) return 64;
  if (head_dim <= 96) return 96;
  if (head_dim <= 128) return 128;
  return head_dim <= 192 ? 192 : 256;
}

// Forward: a block has kRows rows of queries and passes over kCols keys at a time. A warp has whole rows.
template <int kDim>
struct ForwardShape {
  static constexpr int kRows = kDim <= 192 ? 128 : 64;
  static constexpr int kCols = kDim == 128 ? 32 : 64;  // with 64, registers of head_dim 128 spill, for 1 % of speed
  static constexpr int kRowTiles = kDim <= 128 ? 2 : 1;  // of 16 rows, in one warp
  static constexpr int kWarps = kRows / (16 * kRowTiles);
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kBlocksPerSm = kDim <= 128 ? 2 : 1;
  static constexpr int kSharedBytes = 2 * kDim * (kRows + 2 * kCols);
};

// Backward: a block has kRows keys and passes over kCols rows of queries at a time.
template <int kDim>
struct BackwardShape {
  static constexpr int kRows = kDim <= 128 ? 128 : 64;
  static constexpr int kCols = kDim <= 96 ? 64 : kDim <= 192 ? 32 : 16;
  static constexpr int kWarps = 8;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowWarps = kRows / 16;            // warps with different keys
  static constexpr int kDimParts = kWarps / kRowWarps;    // warps with the same keys, each with a part of head_dim
  static constexpr int kPartDim = kDim / kDimParts;
  static constexpr int kQueryWarps = kCols / 16;          // for the gradient of queries: warps with different queries
  static constexpr int kQueryDim = kDim * kQueryWarps / kWarps;  // and the part of head_dim of each
  static constexpr int kStageBytes = 2 * (2 * kCols * kDim) + 2 * kCols * 4;  // q, grad_out, lse, delta
  static constexpr int kFixedBytes = 2 * (2 * kRows * kDim + kRows * kCols);  // k, v, dS
  static constexpr int shared_bytes(int stages) { return kFixedBytes + stages * kStageBytes; }
};

// Calls body with the shape's kDim as a constant.
template <int kValue>
struct HeadDim {
  static constexpr int value = kValue;
};
template <typename Body>
auto with_head_dim(int32_t head_dim, Body&& body) {
  switch (padded_head_dim(head_dim)) {
    case 64: return body(HeadDim<64>{});
    case 96: return body(HeadDim<96>{});
    case 128: return body(HeadDim<128>{});
    case 192: return body(HeadDim<192>{});
    default: return body(HeadDim<256>{});
  }
}

}  // namespace magi::ffa::sm80

#endif
