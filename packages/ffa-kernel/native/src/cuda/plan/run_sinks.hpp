// What becomes of the runs of a row tile: first they are counted, then, with their places known, written.
#ifndef MAGI_FFA_CUDA_PLAN_RUN_SINKS_HPP
#define MAGI_FFA_CUDA_PLAN_RUN_SINKS_HPP

#include "cover_columns.hpp"
#include "workspace.hpp"

namespace magi::ffa::plan {

template <typename Warp>
struct CountSink {
  const TileBands& tile;
  const ColumnGrid& grid;
  int32_t num_bands;
  TileCounts counts = {0, 0, 0, 0};

  MAGI_FFA_PLAN_FN void masked(int32_t begin, int32_t num_tiles, int32_t covered) {
    for (int32_t base = 0; base < num_bands; base += Warp::kSize) {
      const int32_t i = base + Warp::lane();
      counts.num_list += Warp::count(Warp::ballot(i < num_bands && is_live(tile, i, covered, begin, grid)));
    }
    counts.num_runs += 1;
    counts.num_masked += 1;
    counts.cost += num_tiles * kMaskedCost;
  }
  MAGI_FFA_PLAN_FN void full(int32_t, int32_t num_tiles) {
    counts.num_runs += 1;
    counts.cost += num_tiles * kFullCost;
  }
};

// A run: col_begin, num_col_tiles, band_begin, band_count.
template <typename Warp>
MAGI_FFA_PLAN_FN void write_run(int4* run, int32_t col_begin, int32_t num_tiles, int32_t band_begin, int32_t band_count) {
  if (Warp::lane() == 0) *run = {col_begin, num_tiles, band_begin, band_count};
}

template <typename Warp>
struct WriteSink {
  const TileBands& tile;
  const PlanJob& job;
  int32_t num_bands;
  int4* next_masked;
  int4* next_full;  // with align_cols the runs ascend by column, and both places are one
  int32_t list_end;

  MAGI_FFA_PLAN_FN void masked(int32_t begin, int32_t num_tiles, int32_t covered) {
    const int32_t list_begin = list_end;
    for (int32_t base = 0; base < num_bands; base += Warp::kSize) {
      const int32_t i = base + Warp::lane();
      const bool live = i < num_bands && is_live(tile, i, covered, begin, job.grid);
      const uint32_t votes = Warp::ballot(live);
      if (live) job.run_bands[list_end + Warp::rank(votes)] = tile.index[i];
      list_end += Warp::count(votes);
    }
    write_run<Warp>(next_masked, begin, num_tiles, list_begin, list_end - list_begin);
    next_masked += 1;
    if (job.grid.align_cols) next_full += 1;
  }
  MAGI_FFA_PLAN_FN void full(int32_t begin, int32_t num_tiles) {
    write_run<Warp>(next_full, begin, num_tiles, 0, 0);
    next_full += 1;
    if (job.grid.align_cols) next_masked += 1;
  }
};

// One masked run over all columns of a tile that is not planned in detail: its first column and number of tiles.
struct HullRun {
  int32_t begin;
  int32_t num_tiles;

  MAGI_FFA_PLAN_FN HullRun(const TileScope& scope, const ColumnGrid& grid)
      : begin(grid.align_cols ? scope.col_begin - scope.col_begin % grid.tile_cols : scope.col_begin),
        num_tiles(ceil_div(scope.col_end - begin, grid.tile_cols)) {}
};

// The first pass over a tile.
template <typename Warp>
MAGI_FFA_PLAN_FN TileCounts count_tile(const PlanJob& job, const TileScope& scope, const TileBands& tile, Intervals& full,
                                       Intervals& other) {
  if (scope.count == 0) return {0, 0, 0, 0};
  if (scope.count > kMaxTileBands) return {1, 1, scope.count, HullRun(scope, job.grid).num_tiles * kMaskedCost};
  const int32_t num_full = full_columns<Warp>(tile, scope, job.grid, full, other);
  CountSink<Warp> sink = {tile, job.grid, scope.count};
  cover_columns<Warp>(tile, scope.count, full, num_full, job.grid, sink);
  return sink.counts;
}

// The second pass: writes the runs from `run_begin` on, and their lists from `list_begin` on.
template <typename Warp>
MAGI_FFA_PLAN_FN void write_tile(const PlanJob& job, const TileScope& scope, const TileBands& tile, int32_t num_masked,
                                 int32_t run_begin, int32_t list_begin, Intervals& full, Intervals& other) {
  if (scope.count > kMaxTileBands) {
    const HullRun hull(scope, job.grid);
    write_run<Warp>(job.runs + run_begin, hull.begin, hull.num_tiles, list_begin, scope.count);
    for (int32_t base = scope.first_band; base < scope.end_band; base += Warp::kSize) {
      const int32_t index = base + Warp::lane();
      const bool meets =
          index < scope.end_band && job.rows[index][0] < scope.row_end && job.rows[index][1] > scope.row_begin;
      const uint32_t votes = Warp::ballot(meets);
      if (meets) job.run_bands[list_begin + Warp::rank(votes)] = index;
      list_begin += Warp::count(votes);
    }
    return;
  }
  const int32_t num_full = full_columns<Warp>(tile, scope, job.grid, full, other);
  int4* const first = job.runs + run_begin;
  WriteSink<Warp> sink = {tile, job, scope.count, first, first + (job.grid.align_cols ? 0 : num_masked), list_begin};
  cover_columns<Warp>(tile, scope.count, full, num_full, job.grid, sink);
}

// The second pass of a tile without room: one masked run that names all bands, whose list stands before the others.
template <typename Warp>
MAGI_FFA_PLAN_FN void write_unfit_tile(const PlanJob& job, const TileScope& scope, int32_t run_begin) {
  const HullRun hull(scope, job.grid);
  write_run<Warp>(job.runs + run_begin, hull.begin, hull.num_tiles, 0, job.num_bands);
}

}  // namespace magi::ffa::plan

#endif
