// Which columns the rows of a group see. The same code serves forward (rows are queries) and backward (rows are keys), since
// a plan names its axes rows and columns. Included inside an instruction set's own namespace (see kernels.inl.hpp).

// One run of a tile: columns [begin, end) and the bands that meet them; no bands: every row sees every column.
struct Run {
  int64_t begin;
  int64_t end;
  const int32_t* bands;  // indices into the plan's bands
  int32_t num_bands;
};

constexpr int32_t kDenseBand[1] = {0};

// Calls visit(run) for every run of a tile. Of a dense plan there is at most one; the group masks sort out its full part.
template <typename Visit>
MAGI_INLINE void for_each_run(const MagiFfaPlan& plan, int tile, Visit&& visit) {
  if (plan.tile_runs != nullptr) {
    for (int32_t i = plan.tile_runs[tile]; i < plan.tile_runs[tile + 1]; ++i) {
      const int32_t* run = plan.runs + 4 * static_cast<int64_t>(i);
      const int64_t end = run[0] + static_cast<int64_t>(run[1]) * plan.tile_cols;
      visit(Run{run[0], smaller(end, plan.num_cols), plan.run_bands + run[2], run[3]});
    }
    return;
  }
  int64_t begin, end;
  if (dense_hull(plan, tile, &begin, &end)) visit(Run{begin, end, kDenseBand, 1});
}

// What the rows of one group see of one run. A row's columns are a union of intervals; interval i of all rows together is layer
// i. One layer is the rule; more are needed only where slices leave gaps within a run.
struct GroupMask {
  int64_t begin;       // hull of the columns seen by any row; begin >= end: none
  int64_t end;
  int64_t full_begin;  // columns that every row sees
  int64_t full_end;
  int num_layers;
  int32_t* low;   // [num_layers, kGroup]
  int32_t* high;

  // Whether columns [col, col + kPanel) need no masking.
  bool is_full(int64_t col) const { return col >= full_begin && col + kPanel <= full_end; }
};

// Adds the interval [low, high) to a row: into the first layer where it is free or where it touches what is there.
inline void add_interval(GroupMask& mask, int row, int32_t low, int32_t high) {
  for (int layer = 0;; ++layer) {
    int32_t* lows = mask.low + layer * kGroup;
    int32_t* highs = mask.high + layer * kGroup;
    if (layer == mask.num_layers) {
      for (int i = 0; i < kGroup; ++i) lows[i] = highs[i] = 0;
      ++mask.num_layers;
    }
    if (lows[row] >= highs[row]) {
      lows[row] = low;
      highs[row] = high;
      return;
    }
    if (low <= highs[row] && lows[row] <= high) {
      lows[row] = static_cast<int32_t>(smaller(low, lows[row]));
      highs[row] = static_cast<int32_t>(larger(high, highs[row]));
      return;
    }
  }
}

// storage: int32 [2, layers, kGroup] for as many layers as the run has bands (at least one).
inline GroupMask make_group_mask(const MagiFfaPlan& plan, const Run& run, int64_t row0, int32_t* storage) {
  const int max_layers = run.num_bands > 0 ? run.num_bands : 1;
  GroupMask mask{INT32_MAX, 0, 0, 0, 0, storage, storage + static_cast<int64_t>(max_layers) * kGroup};
  const int64_t rows = smaller(kGroup, plan.num_rows - row0);
  if (rows <= 0) return mask;

  const auto add = [&](int64_t row, int64_t low, int64_t high) {
    low = larger(low, run.begin);
    high = smaller(high, run.end);
    if (low >= high) return;
    add_interval(mask, static_cast<int>(row - row0), static_cast<int32_t>(low), static_cast<int32_t>(high));
    mask.begin = smaller(mask.begin, low);
    mask.end = larger(mask.end, high);
  };
  if (run.num_bands == 0) {
    for (int64_t row = row0; row < row0 + rows; ++row) add(row, run.begin, run.end);
  }
  for (int i = 0; i < run.num_bands; ++i) {
    const int32_t* band = plan.bands + 6 * static_cast<int64_t>(run.bands[i]);
    const int64_t end = smaller(band[1], row0 + rows);
    for (int64_t row = larger(band[0], row0); row < end; ++row) {
      add(row, larger(band[2], row + band[4]), smaller(band[3], row + band[5] + 1));
    }
  }
  // A row of padding must stay masked, so a group that has one is never full.
  if (rows == kGroup && mask.num_layers > 0) {
    mask.full_begin = run.begin;
    mask.full_end = run.end;
    for (int i = 0; i < kGroup; ++i) {
      mask.full_begin = larger(mask.full_begin, mask.low[i]);
      mask.full_end = smaller(mask.full_end, mask.high[i]);
    }
  }
  return mask;
}

// The group's lanes that see one column, for each of its vectors.
MAGI_INLINE void column_mask(const GroupMask& mask, int64_t col, Mask (&visible)[kGroupVectors]) {
  for (int x = 0; x < kGroupVectors; ++x) {
    const int lane = x * Simd::kLanes;
    visible[x] = Simd::within(Simd::load_int(mask.low + lane), Simd::load_int(mask.high + lane), static_cast<int32_t>(col));
    for (int layer = 1; layer < mask.num_layers; ++layer) {
      const int at = layer * kGroup + lane;
      visible[x] = Simd::either(visible[x], Simd::within(Simd::load_int(mask.low + at), Simd::load_int(mask.high + at),
                                                         static_cast<int32_t>(col)));
    }
  }
}
