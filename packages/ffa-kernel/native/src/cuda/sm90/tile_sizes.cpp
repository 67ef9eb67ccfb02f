#include "tile_sizes.hpp"

#include "../common/packing.hpp"
#include "../params.hpp"

namespace magi::ffa::sm90 {

TileSizes tile_sizes(int32_t head_dim, int32_t group_size) {
  // Forward packs heads into the rows of a warpgroup, backward into those of a query tile.
  return {kForwardTileRows >> packing_shift(group_size, kWarpgroupRows), forward_tile_cols(head_dim), kBackwardKeyRows,
          kBackwardQueryRows >> packing_shift(group_size, kBackwardQueryRows)};
}

}  // namespace magi::ffa::sm90
