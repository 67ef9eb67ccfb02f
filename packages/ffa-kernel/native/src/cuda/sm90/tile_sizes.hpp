// Tile shapes of the Hopper kernels, in rows of a tile; and how query heads are packed into rows.
#ifndef MAGI_FFA_SM90_TILE_SIZES_HPP
#define MAGI_FFA_SM90_TILE_SIZES_HPP

#include <cstdint>

namespace magi::ffa::sm90 {

// Each consumer warpgroup has 64 rows.
constexpr int kWarpgroupRows = 64;

// Warpgroups that multiply, in forward.
constexpr int forward_consumers(int /*head_dim*/) { return 2; }
constexpr int forward_tile_rows(int head_dim) { return forward_consumers(head_dim) * kWarpgroupRows; }
constexpr int kForwardTileCols = 128;

// Backward: keys of a tile, 64 for each of two consumers; and rows of a query tile, as many as registers allow.
constexpr int kBackwardKeyRows = 128;
constexpr int kBackwardQueryRows = 64;

// How many query heads of a group stand in the rows of one tile: row r is token r / packed, head r % packed. All heads of a
// group read the same keys, so packing them makes a tile's rows span fewer tokens, and less of it is masked.
inline int packed_heads(int group_size) {
  const bool power_of_two = (group_size & (group_size - 1)) == 0;
  return power_of_two && group_size <= kWarpgroupRows ? group_size : 1;
}

}  // namespace magi::ffa::sm90

#endif
