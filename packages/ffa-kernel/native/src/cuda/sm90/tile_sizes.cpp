#include "tile_sizes.hpp"

#include "../common/packing.hpp"
#include "../params.hpp"

namespace magi::ffa::sm90 {

TileSizes tile_sizes(int32_t head_dim, int32_t group_size) {
  // Forward packs heads into the rows of a warpgroup, backward into those of a query tile.
  const int query_rows = backward_query_rows(head_dim);
  return {kForwardTileRows >> packing_shift(group_size, kWarpgroupRows), forward_tile_cols(head_dim), kBackwardKeyRows,
          query_rows >> packing_shift(group_size, query_rows)};
}

}  // namespace magi::ffa::sm90
