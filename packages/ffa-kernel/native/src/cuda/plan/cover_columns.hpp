// Covers the columns that a row tile sees with the fewest column tiles.
#ifndef MAGI_FFA_CUDA_PLAN_COVER_COLUMNS_HPP
#define MAGI_FFA_CUDA_PLAN_COVER_COLUMNS_HPP

#include "full_columns.hpp"

namespace magi::ffa::plan {

// A tile's cost in tenths of a full one: the mask of a masked tile takes about a third of the time of its products.
constexpr int32_t kFullCost = 10;
constexpr int32_t kMaskedCost = 13;

// For a numerator of either sign.
MAGI_FFA_PLAN_FN int32_t ceil_div(int32_t a, int32_t b) { return a > 0 ? (a - 1) / b + 1 : -(-a / b); }

// How many tiles from `begin` on end before `full_end`. At the end of the axis the last one may be short.
MAGI_FFA_PLAN_FN int32_t full_tiles(int32_t begin, int32_t full_end, const ColumnGrid& grid) {
  const int32_t cols = full_end - begin;
  if (cols <= 0) return 0;
  return full_end == grid.num_cols ? ceil_div(cols, grid.tile_cols) : cols / grid.tile_cols;
}

// Whether a band is named by a masked run whose first tile begins at `begin`; `covered` are the columns before it that are
// covered or that no row sees.
MAGI_FFA_PLAN_FN bool is_live(const TileBands& tile, int32_t i, int32_t covered, int32_t begin, const ColumnGrid& grid) {
  return tile.col_end[i] > covered && tile.col_begin[i] < begin + grid.tile_cols;
}

// Each tile begins at the first column not covered yet (align_cols: at the grid line before it). Works run by run: how many
// tiles come until a band begins, a band ends, or a full tile comes, has a closed form. The sink gets the runs ascending by
// column: masked(begin, num_tiles, covered), full(begin, num_tiles).
template <typename Warp, typename Sink>
MAGI_FFA_PLAN_FN void cover_columns(const TileBands& tile, int32_t count, const Intervals& full, int32_t num_full,
                                    const ColumnGrid& grid, Sink& sink) {
  int32_t covered = 0;
  for (;;) {
    int32_t next = kNone;
    for (int32_t i = Warp::lane(); i < count; i += Warp::kSize) {
      if (tile.col_end[i] > covered) next = min_of(next, max_of(tile.col_begin[i], covered));
    }
    covered = Warp::min(next);
    if (covered == kNone) return;
    const int32_t begin = grid.align_cols ? covered - covered % grid.tile_cols : covered;

    // All tiles of a masked run begin before one of its bands ends, and end before another band or a full tile begins.
    int32_t limit = kNone;
    for (int32_t i = Warp::lane(); i < count; i += Warp::kSize) {
      if (tile.col_end[i] <= covered) continue;
      const bool live = is_live(tile, i, covered, begin, grid);
      limit = min_of(limit, live ? ceil_div(tile.col_end[i] - begin, grid.tile_cols)
                                 : (tile.col_begin[i] - begin) / grid.tile_cols);
    }
    int32_t num_here = 0;
    for (int32_t i = Warp::lane(); i < num_full; i += Warp::kSize) {
      const int32_t before = max_of(ceil_div(full.begin[i] - begin, grid.tile_cols), 0);
      if (before >= limit) continue;
      const int32_t tiles = full_tiles(begin + before * grid.tile_cols, full.end[i], grid);
      if (tiles == 0) continue;
      limit = before;
      if (before == 0) num_here = tiles;
    }
    limit = Warp::min(limit);
    if (limit > 0) {
      sink.masked(begin, limit, covered);
      covered = begin + limit * grid.tile_cols;
    } else {
      num_here = Warp::max(num_here);
      sink.full(begin, num_here);
      covered = begin + num_here * grid.tile_cols;
    }
  }
}

}  // namespace magi::ffa::plan

#endif
