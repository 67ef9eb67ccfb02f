// Descriptions of tensors for the tensor memory accelerator: boxes of rows in 128-byte swizzled panels of 64 elements. A box has
// whole rows if head_dim is a multiple of 64, else one panel, and the last panel of a row is filled up with zeros.
#ifndef MAGI_FFA_SM90_TENSOR_MAP_HPP
#define MAGI_FFA_SM90_TENSOR_MAP_HPP

#include <cstdint>

#include <cuda.h>

namespace magi::ffa::sm90 {

// [tokens, num_heads, head_dim], 16-bit elements, by boxes of `rows` query rows: rows / packed tokens by `packed` heads.
// Coordinates {element, 0, token, 0, head / packed}.
CUtensorMap query_map(const void* tensor, int32_t dtype, int64_t tokens, int num_heads, int head_dim, int packed, int rows);

// [tokens, num_heads, head_dim], 16-bit elements, by boxes of `rows` tokens of one head. Coordinates {element, token, 0, head}.
CUtensorMap key_map(const void* tensor, int32_t dtype, int64_t tokens, int num_heads, int head_dim, int rows);

}  // namespace magi::ffa::sm90

#endif
