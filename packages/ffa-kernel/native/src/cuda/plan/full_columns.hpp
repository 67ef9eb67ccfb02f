// The columns that every row of a tile sees.
#ifndef MAGI_FFA_CUDA_PLAN_FULL_COLUMNS_HPP
#define MAGI_FFA_CUDA_PLAN_FULL_COLUMNS_HPP

#include "tile_bands.hpp"

namespace magi::ffa::plan {

struct ColumnGrid {
  int32_t tile_cols;
  int32_t num_cols;
  bool align_cols;
};

// Disjoint intervals that ascend and do not touch. What does not fit is left out: its tiles become masked ones.
struct Intervals {
  static constexpr int32_t kCapacity = 32;
  int32_t begin[kCapacity];
  int32_t end[kCapacity];
};

// The next row after `row` at which a band begins or ends.
template <typename Warp>
MAGI_FFA_PLAN_FN int32_t end_of_segment(const TileBands& tile, const TileScope& scope, int32_t row) {
  int32_t end = scope.row_end;
  for (int32_t i = Warp::lane(); i < scope.count; i += Warp::kSize) {
    if (tile.first_row[i] > row) {
      end = min_of(end, tile.first_row[i]);
    } else if (tile.end_row[i] > row) {
      end = min_of(end, tile.end_row[i]);
    }
  }
  return Warp::min(end);
}

template <typename Warp>
MAGI_FFA_PLAN_FN int32_t begin_of_last_segment(const TileBands& tile, const TileScope& scope) {
  int32_t begin = scope.row_begin;
  for (int32_t i = Warp::lane(); i < scope.count; i += Warp::kSize) {
    begin = max_of(begin, tile.first_row[i]);
    if (tile.end_row[i] < scope.row_end) begin = max_of(begin, tile.end_row[i]);
  }
  return Warp::max(begin);
}

// The rows [begin, end), and what all of them see through a single band: columns [full_begin(i), full_end(i)) of band i,
// if it holds these rows.
struct Segment {
  int32_t begin;
  int32_t end;

  MAGI_FFA_PLAN_FN bool holds(const TileBands& tile, int32_t i) const {
    return tile.first_row[i] <= begin && tile.end_row[i] >= end;
  }
  MAGI_FFA_PLAN_FN int32_t full_begin(const TileBands& tile, int32_t i) const {
    return max_of(tile.col_begin[i], end - 1 + tile.lo[i]);
  }
  MAGI_FFA_PLAN_FN int32_t full_end(const TileBands& tile, int32_t i) const {
    return min_of(tile.col_end[i], begin + tile.hi[i] + 1);
  }
};

// The first column from `col` on that all rows of the segment see; kNone if there is none.
template <typename Warp>
MAGI_FFA_PLAN_FN int32_t next_full(const TileBands& tile, int32_t count, const Segment& rows, int32_t col) {
  int32_t next = kNone;
  for (int32_t i = Warp::lane(); i < count; i += Warp::kSize) {
    if (!rows.holds(tile, i)) continue;
    const int32_t begin = max_of(rows.full_begin(tile, i), col);
    if (begin < rows.full_end(tile, i)) next = min_of(next, begin);
  }
  return Warp::min(next);
}

// Where the full columns that contain `col` end.
template <typename Warp>
MAGI_FFA_PLAN_FN int32_t end_of_full(const TileBands& tile, int32_t count, const Segment& rows, int32_t col) {
  int32_t reach = col;
  for (;;) {
    int32_t farther = reach;
    for (int32_t i = Warp::lane(); i < count; i += Warp::kSize) {
      if (rows.holds(tile, i) && rows.full_begin(tile, i) <= reach) farther = max_of(farther, rows.full_end(tile, i));
    }
    farther = Warp::max(farther);
    if (farther == reach) return reach;
    reach = farther;
  }
}

// found := the part of `wanted` that all rows of the segment see, without stretches too short for a column tile. Returns
// the number of intervals, and their total width through `width`.
template <typename Warp>
MAGI_FFA_PLAN_FN int32_t keep_full(const TileBands& tile, int32_t count, const Segment& rows, const ColumnGrid& grid,
                                   const Intervals& wanted, int32_t num_wanted, Intervals& found, int32_t& width) {
  int32_t num_found = 0;
  width = 0;
  for (int32_t w = 0; w < num_wanted; ++w) {
    const int32_t limit = wanted.end[w];
    int32_t begin = next_full<Warp>(tile, count, rows, wanted.begin[w]);
    while (begin < limit) {
      const int32_t end = min_of(end_of_full<Warp>(tile, count, rows, begin), limit);
      // Only the last column tile may be shorter than the others.
      const bool is_long = end - begin >= grid.tile_cols || end == grid.num_cols;
      if (is_long && num_found < Intervals::kCapacity) {
        if (Warp::lane() == 0) {
          found.begin[num_found] = begin;
          found.end[num_found] = end;
        }
        num_found += 1;
        width += end - begin;
      }
      if (end == limit) break;
      begin = next_full<Warp>(tile, count, rows, end);
    }
  }
  Warp::sync();
  return num_found;
}

// The columns that every row of the tile sees. The rows are cut where a band begins or ends; within such a segment a column
// is full if a single band shows it to all rows. Two bands whose diagonals complete each other are not recognised.
template <typename Warp>
MAGI_FFA_PLAN_FN int32_t full_columns(const TileBands& tile, const TileScope& scope, const ColumnGrid& grid, Intervals& full,
                                      Intervals& other) {
  if (Warp::lane() == 0) {
    other.begin[0] = 0;
    other.end[0] = grid.num_cols;
  }
  Warp::sync();
  int32_t width = 0;
  int32_t end = end_of_segment<Warp>(tile, scope, scope.row_begin);
  int32_t found = keep_full<Warp>(tile, scope.count, {scope.row_begin, end}, grid, other, 1, full, width);
  if (found == 0 || end == scope.row_end) return found;

  // No segment takes away what the bands that hold all rows show. Once just that is left, the others need no look.
  int32_t certain = 0;
  keep_full<Warp>(tile, scope.count, {scope.row_begin, scope.row_end}, grid, full, found, other, certain);
  int32_t begin = begin_of_last_segment<Warp>(tile, scope);
  int32_t next_end = scope.row_end;
  Intervals* from = &full;
  Intervals* to = &other;
  for (;;) {
    found = keep_full<Warp>(tile, scope.count, {begin, next_end}, grid, *from, found, *to, width);
    Intervals* const swap = from;
    from = to;
    to = swap;
    if (end >= scope.row_end || width <= certain) break;
    begin = end;
    next_end = end = end_of_segment<Warp>(tile, scope, begin);
  }
  if (from != &full) {
    for (int32_t i = Warp::lane(); i < found; i += Warp::kSize) {
      full.begin[i] = from->begin[i];
      full.end[i] = from->end[i];
    }
    Warp::sync();
  }
  return found;
}

}  // namespace magi::ffa::plan

#endif
