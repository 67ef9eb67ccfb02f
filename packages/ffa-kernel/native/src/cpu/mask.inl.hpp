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
  int64_t vector_begin[kGroupVectors];  // hulls of single vectors
  int64_t vector_end[kGroupVectors];
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

// Rows [first, last) see columns from max(col0, row + lo) to min(col1, row + hi + 1), none of them empty. Where no row has
// anything yet, the loop is simple enough for compilers to vectorise.
inline void add_rows(GroupMask& mask, bool is_free, int64_t row0, int64_t first, int64_t last, int64_t col0, int64_t col1,
                     int64_t lo, int64_t hi) {
  if (is_free) {
    // |row + lo| stays below 2^31: both are within 2^30.
    const int32_t low_bound = static_cast<int32_t>(col0), high_bound = static_cast<int32_t>(col1);
    const int32_t low0 = static_cast<int32_t>(row0 + lo), high0 = static_cast<int32_t>(row0 + hi);
    for (int32_t i = static_cast<int32_t>(first - row0); i < static_cast<int32_t>(last - row0); ++i) {
      mask.low[i] = low0 + i > low_bound ? low0 + i : low_bound;
      mask.high[i] = high0 + i < high_bound ? high0 + i + 1 : high_bound;
    }
    return;
  }
  for (int64_t row = first; row < last; ++row) {
    add_interval(mask, static_cast<int>(row - row0), static_cast<int32_t>(larger(col0, row + lo)),
                 static_cast<int32_t>(smaller(col1, row + hi + 1)));
  }
}

// storage: int32 [2, layers, kGroup] for as many layers as the run has bands (at least one).
inline GroupMask make_group_mask(const MagiFfaPlan& plan, const Run& run, int64_t row0, int32_t* storage) {
  const int max_layers = run.num_bands > 0 ? run.num_bands : 1;
  GroupMask mask{};
  mask.begin = INT32_MAX;
  mask.num_layers = 1;
  mask.low = storage;
  mask.high = storage + static_cast<int64_t>(max_layers) * kGroup;
  for (int i = 0; i < kGroup; ++i) mask.low[i] = mask.high[i] = 0;
  const int64_t end = smaller(row0 + kGroup, plan.num_rows);

  int64_t filled_begin = end, filled_end = row0;  // hull of the rows that have an interval
  const auto add = [&](int64_t first, int64_t last, int64_t col0, int64_t col1, int64_t lo, int64_t hi) {
    col0 = larger(col0, run.begin);
    col1 = smaller(col1, run.end);
    // Rows outside of these have no column within [col0, col1).
    first = larger(larger(first, row0), col0 - hi);
    last = smaller(smaller(last, end), col1 - lo);
    if (first >= last || col0 >= col1) return;
    add_rows(mask, last <= filled_begin || first >= filled_end, row0, first, last, col0, col1, lo, hi);
    filled_begin = smaller(filled_begin, first);
    filled_end = larger(filled_end, last);
    mask.begin = smaller(mask.begin, larger(col0, first + lo));
    mask.end = larger(mask.end, smaller(col1, last + hi));
  };
  if (run.num_bands == 0) add(row0, end, run.begin, run.end, -MAGI_FFA_UNBOUNDED, MAGI_FFA_UNBOUNDED);
  for (int i = 0; i < run.num_bands; ++i) {
    const int32_t* band = plan.bands + 6 * static_cast<int64_t>(run.bands[i]);
    add(band[0], band[1], band[2], band[3], band[4], band[5]);
  }
  for (int x = 0; x < kGroupVectors; ++x) {
    mask.vector_begin[x] = INT32_MAX;
    for (int layer = 0; layer < mask.num_layers; ++layer) {
      for (int i = layer * kGroup + x * Simd::kLanes; i < layer * kGroup + (x + 1) * Simd::kLanes; ++i) {
        if (mask.low[i] >= mask.high[i]) continue;
        mask.vector_begin[x] = smaller(mask.vector_begin[x], mask.low[i]);
        mask.vector_end[x] = larger(mask.vector_end[x], mask.high[i]);
      }
    }
  }
  // A row of padding or without columns must stay masked, so a group that has one is never full.
  if (mask.begin < mask.end && filled_end - filled_begin == kGroup) {
    mask.full_begin = run.begin;
    mask.full_end = run.end;
    for (int i = 0; i < kGroup; ++i) {
      mask.full_begin = larger(mask.full_begin, mask.low[i]);
      mask.full_end = smaller(mask.full_end, mask.high[i]);
    }
  }
  return mask;
}

// The lanes of kVectors vectors from number x0 on that see one column.
template <int kVectors>
MAGI_INLINE void column_mask(const GroupMask& mask, int x0, int64_t col, Mask (&visible)[kVectors]) {
  const int32_t column = static_cast<int32_t>(col);
  for (int x = 0; x < kVectors; ++x) {
    const int lane = (x0 + x) * Simd::kLanes;
    visible[x] = Simd::within(Simd::load_int(mask.low + lane), Simd::load_int(mask.high + lane), column);
    for (int layer = 1; layer < mask.num_layers; ++layer) {
      const int at = layer * kGroup + lane;
      visible[x] =
          Simd::either(visible[x], Simd::within(Simd::load_int(mask.low + at), Simd::load_int(mask.high + at), column));
    }
  }
}

// Neighbouring panels [begin, end) of a block that the same vectors [x0, x0 + vectors) of a group see. Working on those alone
// makes the edge of a mask as fine as one vector of rows and one panel of columns.
struct Segment {
  int64_t begin;  // columns within the block, whole panels
  int64_t end;
  int x0;
  int vectors;
};

struct Segments {
  int count;
  Segment items[kTileCols / kPanel];
};

inline Segments segments_of(const GroupMask& mask, int64_t block) {
  Segments segments;
  segments.count = 0;
  const int64_t end = smaller(mask.end - block, kTileCols);
  for (int64_t y = floor_to(larger(mask.begin - block, 0), kPanel); y < end; y += kPanel) {
    int first = kGroupVectors, last = -1;
    for (int x = 0; x < kGroupVectors; ++x) {
      if (mask.vector_begin[x] >= block + y + kPanel || mask.vector_end[x] <= block + y) continue;
      if (first == kGroupVectors) first = x;
      last = x;
    }
    if (last < 0) continue;
    if (segments.count > 0) {
      Segment& open = segments.items[segments.count - 1];
      if (open.end == y && open.x0 == first && open.vectors == last - first + 1) {
        open.end = y + kPanel;
        continue;
      }
    }
    segments.items[segments.count++] = {y, y + kPanel, first, last - first + 1};
  }
  return segments;
}

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls body with the number of vectors as a constant, so that their loops unroll.
template <typename Body>
MAGI_INLINE void with_vectors(int vectors, Body&& body) {
  static_assert(kGroupVectors == 3, "one case for each number of vectors");
  if (vectors == 3) return body(Constant<3>{});
  if (vectors == 2) return body(Constant<2>{});
  body(Constant<1>{});
}
