// The bands that meet one row tile, in the shared memory of the warp that plans it.
//
// A `Warp` says which part of the work is a lane's: kSize lanes, lane(), reductions and ballots over all of them. Everything
// that is not inside a loop over lanes is the same in all of them.
#ifndef MAGI_FFA_CUDA_PLAN_TILE_BANDS_HPP
#define MAGI_FFA_CUDA_PLAN_TILE_BANDS_HPP

#include "band.hpp"

namespace magi::ffa::plan {

// Most bands of a tile that is planned in detail. A tile with more gets one masked run.
constexpr int32_t kMaxTileBands = 128;

// Larger than any coordinate.
constexpr int32_t kNone = INT32_MAX;

struct TileBands {
  int32_t index[kMaxTileBands];  // ascending
  int32_t first_row[kMaxTileBands];  // within the tile
  int32_t end_row[kMaxTileBands];
  int32_t col_begin[kMaxTileBands];  // the columns that some row of the tile sees through the band
  int32_t col_end[kMaxTileBands];
  int32_t lo[kMaxTileBands];
  int32_t hi[kMaxTileBands];
};

// The row tile [row_begin, row_end), and what meets it.
struct TileScope {
  int32_t row_begin;
  int32_t row_end;
  int32_t count;       // bands that meet it; those beyond kMaxTileBands are counted only
  int32_t col_begin;   // hull of their columns
  int32_t col_end;
  int32_t first_band;  // [first_band, end_band) has the indices of all of them
  int32_t end_band;
};

// Finds the bands that meet a tile among those of index [first_band, end_band). `rows` has row0 and row1 of each band.
template <typename Warp>
MAGI_FFA_PLAN_FN TileScope collect_bands(const Band* bands, const int32_t (*rows)[2], int32_t first_band, int32_t end_band,
                                         int32_t row_begin, int32_t row_end, TileBands& tile) {
  TileScope scope = {row_begin, row_end, 0, kNone, 0, kNone, 0};
  for (int32_t base = first_band; base < end_band; base += Warp::kSize) {
    const int32_t index = base + Warp::lane();
    const bool meets = index < end_band && rows[index][0] < row_end && rows[index][1] > row_begin;
    const uint32_t votes = Warp::ballot(meets);
    if (votes == 0) continue;
    if (meets) {
      const Band band = bands[index];
      const int32_t first_row = max_of(band.row0, row_begin);
      const int32_t end_row = min_of(band.row1, row_end);
      const int32_t col_begin = max_of(band.col0, first_row + band.lo);
      const int32_t col_end = min_of(band.col1, end_row + band.hi);
      const int32_t slot = scope.count + Warp::rank(votes);
      if (slot < kMaxTileBands) {
        tile.index[slot] = index;
        tile.first_row[slot] = first_row;
        tile.end_row[slot] = end_row;
        tile.col_begin[slot] = col_begin;
        tile.col_end[slot] = col_end;
        tile.lo[slot] = band.lo;
        tile.hi[slot] = band.hi;
      }
      scope.col_begin = min_of(scope.col_begin, col_begin);
      scope.col_end = max_of(scope.col_end, col_end);
      scope.first_band = min_of(scope.first_band, index);
      scope.end_band = max_of(scope.end_band, index + 1);
    }
    scope.count += Warp::count(votes);
  }
  scope.col_begin = Warp::min(scope.col_begin);
  scope.col_end = Warp::max(scope.col_end);
  scope.first_band = Warp::min(scope.first_band);
  scope.end_band = Warp::max(scope.end_band);
  Warp::sync();
  return scope;
}

}  // namespace magi::ffa::plan

#endif
