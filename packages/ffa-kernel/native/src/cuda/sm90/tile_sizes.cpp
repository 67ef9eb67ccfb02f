#include "tile_sizes.hpp"

#include "../params.hpp"

namespace magi::ffa::sm90 {

TileSizes tile_sizes(int32_t head_dim, int32_t group_size) {
  const int packed = packed_heads(group_size);
  return {forward_tile_rows(head_dim) / packed, kForwardTileCols, kBackwardKeyRows, kBackwardQueryRows / packed};
}

}  // namespace magi::ffa::sm90
