// Tile shapes of the Hopper kernels, in rows of a tile.
#ifndef MAGI_FFA_SM90_TILE_SIZES_HPP
#define MAGI_FFA_SM90_TILE_SIZES_HPP

#include <cstdint>

namespace magi::ffa::sm90 {

// Each consumer warpgroup has 64 rows.
constexpr int kWarpgroupRows = 64;

// Warpgroups that multiply, in forward.
constexpr int kForwardConsumers = 2;
constexpr int kForwardTileRows = kForwardConsumers * kWarpgroupRows;

// As many keys as fit into registers and shared memory.
constexpr int forward_tile_cols(int head_dim) { return head_dim <= 128 ? 128 : head_dim <= 192 ? 96 : 64; }

// Backward: keys of a tile, 64 for each of two consumers; and rows of a query tile, as many as registers allow.
constexpr int kBackwardKeyRows = 128;
constexpr int backward_query_rows(int head_dim) { return head_dim == 64 ? 128 : 64; }

}  // namespace magi::ffa::sm90

#endif
