// The rows of a tile of queries, as tokens and heads (see common/packing.hpp).
#ifndef MAGI_FFA_SM80_QUERY_ROWS_CUH
#define MAGI_FFA_SM80_QUERY_ROWS_CUH

#include <cstdint>

namespace magi::ffa::sm80 {

struct QueryRows {
  int token0;
  int head0;
  int shift;
  int total;  // tokens

  __device__ __forceinline__ int token(int row) const { return token0 + (row >> shift); }
  __device__ __forceinline__ int head(int row) const { return head0 + (row & ((1 << shift) - 1)); }
  __device__ __forceinline__ bool exists(int row) const { return token(row) < total; }
  // Where the row is in [num_heads_q >> shift, total << shift].
  __device__ __forceinline__ int64_t packed_index(int row) const {
    return ((static_cast<int64_t>(head0 >> shift) * total + token0) << shift) + row;
  }
};

}  // namespace magi::ffa::sm80

#endif
