// Forward: one tile of queries and one head at a time, with the online softmax of FlashAttention (Dao et al., 2022).
//
// Vectors run along queries. A group of queries is held transposed, [head_dim, group]; scores come as [keys, group], so that
// maxima and sums need no step across lanes; the output grows as [head_dim, group] and is transposed once at the end.
// Included inside an instruction set's own namespace (see kernels.inl.hpp).

struct ForwardGroup {
  float* q;      // [dim_units, kGroup]
  float* out;    // [head_dim, kGroup], not yet divided by sum
  float* max;    // [kGroup], in base 2
  float* sum;    // [kGroup]
  bool is_fresh; // nothing has been added yet
};

struct ForwardScratch {
  float* rows;    // [kGroup, head_dim]
  float* scores;  // [kTileCols, kGroup]
  float* probs;   // [kTileCols / pack, kGroup] units
  int32_t* mask;
  ForwardGroup groups[kTileRows / kGroup];
};

inline int64_t mask_ints(int max_run_bands) { return 2 * larger(1, max_run_bands) * kGroup; }

inline int64_t forward_scratch_floats(const ForwardJob& job, int max_run_bands) {
  const int64_t dim = job.args.head_dim;
  const int64_t group = 2 * dim * kGroup + 2 * kGroup;
  return kGroup * dim + 2 * kTileCols * kGroup + (kTileRows / kGroup) * group + mask_ints(max_run_bands) * (kTileRows / kGroup);
}

inline ForwardScratch forward_scratch(const ForwardJob& job, float* memory, int max_run_bands) {
  const int64_t dim = job.args.head_dim;
  ForwardScratch s;
  const auto take = [&](int64_t floats) {
    float* at = memory;
    memory += floats;
    return at;
  };
  s.scores = take(kTileCols * kGroup);
  s.probs = take(kTileCols * kGroup);
  for (ForwardGroup& group : s.groups) {
    group.q = take(dim * kGroup);
    group.out = take(dim * kGroup);
    group.max = take(kGroup);
    group.sum = take(kGroup);
  }
  s.rows = take(kGroup * dim);
  s.mask = reinterpret_cast<int32_t*>(take(mask_ints(max_run_bands) * (kTileRows / kGroup)));
  return s;
}

template <typename Units>
inline void load_queries(const ForwardJob& job, int64_t row0, int head, ForwardGroup& group, float* rows) {
  const MagiFfaForwardArgs& args = job.args;
  for (int r = 0; r < kGroup; ++r) {
    float* row = rows + static_cast<int64_t>(r) * job.dim_units;
    if (row0 + r < args.total_q) {
      const int64_t index = ((row0 + r) * args.num_heads_q + head) * args.head_dim;
      read_units<Units>(row, element_at(args.q, args.dtype, index), args.dtype, args.head_dim);
    } else {
      for (int i = 0; i < job.dim_units; ++i) row[i] = 0.0f;
    }
  }
  transpose(group.q, kGroup, rows, job.dim_units, kGroup, job.dim_units);
  for (int r = 0; r < kGroup; ++r) {
    group.max[r] = -kInfinity;
    group.sum[r] = 0.0f;
  }
  group.is_fresh = true;
}

// Scores of the panels [begin, end) of a block, masked, in base 2; raises `max` to their maxima.
template <typename Units, bool kSoftcap>
inline void score_block(const ForwardJob& job, const ForwardGroup& group, const GroupMask& mask, const Logits& logits,
                        const float* k, int64_t block, int64_t begin, int64_t end, float* scores,
                        Float (&max)[kGroupVectors]) {
  for (int64_t y0 = begin; y0 < end; y0 += kPanel) {
    Panel s;
    dot_panel<Units>(s, group.q, k + (block + y0) * job.dim_units, job.dim_units);
    const bool is_full = mask.is_full(block + y0);
    for (int y = 0; y < kPanel; ++y) {
      for (int x = 0; x < kGroupVectors; ++x) {
        if constexpr (kSoftcap) s[y][x] = tanh(Simd::mul(s[y][x], Simd::broadcast(logits.inner)));
        s[y][x] = Simd::mul(s[y][x], Simd::broadcast(logits.scale));
      }
      if (!is_full) {
        Mask visible[kGroupVectors];
        column_mask(mask, block + y0 + y, visible);
        for (int x = 0; x < kGroupVectors; ++x) {
          s[y][x] = Simd::select(visible[x], s[y][x], Simd::broadcast(-kInfinity));
        }
      }
      for (int x = 0; x < kGroupVectors; ++x) {
        max[x] = Simd::max(max[x], s[y][x]);
        Simd::store(scores + (y0 + y) * kGroup + x * Simd::kLanes, s[y][x]);
      }
    }
  }
}

// probs = exp2(scores - max), and their sums added to `sum`.
template <typename Units>
inline void exponentiate_block(const float* scores, float* probs, int64_t begin, int64_t end,
                               const Float (&max)[kGroupVectors], Float (&sum)[kGroupVectors]) {
  for (int64_t y = begin; y < end; y += Units::kPack) {
    for (int x = 0; x < kGroupVectors; ++x) {
      const float* at = scores + y * kGroup + x * Simd::kLanes;
      const Float even = exp2(Simd::sub(Simd::load(at), max[x]));
      float* out = probs + y / Units::kPack * kGroup + x * Simd::kLanes;
      if constexpr (Units::kPack == 2) {
        const Float odd = exp2(Simd::sub(Simd::load(at + kGroup), max[x]));
        sum[x] = Simd::add(sum[x], Simd::add(even, odd));
        Units::store_pairs(out, even, odd);
      } else {
        sum[x] = Simd::add(sum[x], even);
        Simd::store(out, even);
      }
    }
  }
}

// One block of at most kTileCols keys, [block, block + kTileCols), for one group.
template <typename Units, bool kSoftcap>
inline void forward_block(const ForwardJob& job, ForwardGroup& group, const GroupMask& mask, const Logits& logits,
                          const float* k, const float* v, int64_t block, const ForwardScratch& scratch) {
  const int64_t begin = floor_to(larger(mask.begin, block) - block, kPanel);
  const int64_t end = floor_to(smaller(mask.end, block + kTileCols) - block + kPanel - 1, kPanel);
  if (begin >= end) return;

  Float old_max[kGroupVectors], max[kGroupVectors], sum[kGroupVectors], factor[kGroupVectors];
  for (int x = 0; x < kGroupVectors; ++x) max[x] = old_max[x] = Simd::load(group.max + x * Simd::kLanes);
  score_block<Units, kSoftcap>(job, group, mask, logits, k, block, begin, end, scratch.scores, max);
  for (int x = 0; x < kGroupVectors; ++x) {
    Simd::store(group.max + x * Simd::kLanes, max[x]);
    // A row that has seen nothing yet subtracts 0, not -infinity, which would give NaN.
    max[x] = Simd::select(Simd::equal(max[x], Simd::broadcast(-kInfinity)), Simd::zero(), max[x]);
    factor[x] = exp2(Simd::sub(old_max[x], max[x]));
    sum[x] = Simd::mul(Simd::load(group.sum + x * Simd::kLanes), factor[x]);
  }
  exponentiate_block<Units>(scratch.scores, scratch.probs, begin, end, max, sum);
  for (int x = 0; x < kGroupVectors; ++x) Simd::store(group.sum + x * Simd::kLanes, sum[x]);

  const int64_t dim = job.args.head_dim;
  const float* probs = scratch.probs + begin / Units::kPack * kGroup;
  const float* values = v + (block + begin) / Units::kPack * dim;
  for (int64_t d = 0; d < dim; d += kPanel) {
    add_product<Units>(group.out + d * kGroup, group.is_fresh, probs, values + d, dim, (end - begin) / Units::kPack, factor);
  }
  group.is_fresh = false;
}

// Natural logarithm of the softmax denominator and the factor for the output of one row, with the row's sinks: logits that
// take part in the denominator and have zero values.
struct RowResult {
  float lse;
  float factor;
};

inline RowResult finish_row(const MagiFfaForwardArgs& args, int64_t row, int head, float max, float sum) {
  const int64_t token_stride = args.num_heads_q;
  const float* sink = args.sink;
  if (sink != nullptr) {
    sink += head;
    if (args.sink_layout == MAGI_FFA_SINK_SSH) sink += row * args.sink_tokens * token_stride;
  }
  double top = max;
  for (int t = 0; t < args.sink_tokens; ++t) {
    const double s = static_cast<double>(sink[t * token_stride]) * kLog2EDouble;
    if (!(s <= top)) top = s;
  }
  if (top == -static_cast<double>(kInfinity)) return {-kInfinity, 0.0f};
  const double from_keys = sum == 0.0f ? 0.0 : __builtin_exp2(max - top);
  double total = sum * from_keys;
  for (int t = 0; t < args.sink_tokens; ++t) {
    total += __builtin_exp2(static_cast<double>(sink[t * token_stride]) * kLog2EDouble - top);
  }
  return {static_cast<float>((top + __builtin_log2(total)) * kLn2Double), static_cast<float>(from_keys / total)};
}

inline void store_group(const ForwardJob& job, int64_t row0, int head, ForwardGroup& group, float* rows) {
  const MagiFfaForwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  if (group.is_fresh) {
    for (int64_t i = 0; i < kGroup * dim; ++i) rows[i] = 0.0f;
  } else {
    transpose(rows, dim, group.out, kGroup, dim, kGroup);
  }
  const int64_t count = smaller(kGroup, args.total_q - row0);
  for (int64_t r = 0; r < count; ++r) {
    const int64_t index = (row0 + r) * args.num_heads_q + head;
    RowResult result = finish_row(args, row0 + r, head, group.max[r], group.sum[r]);
    float* row = rows + r * dim;
    if (args.accumulate != 0) {
      const float old_lse = args.lse[index];
      const float top = old_lse > result.lse ? old_lse : result.lse;
      if (top != -kInfinity) {
        const double old_part = __builtin_exp(static_cast<double>(old_lse) - top);
        const double new_part = __builtin_exp(static_cast<double>(result.lse) - top);
        const float old_factor = static_cast<float>(old_part / (old_part + new_part));
        const float* old = static_cast<const float*>(args.out) + index * dim;
        const float factor = result.factor * static_cast<float>(new_part / (old_part + new_part));
        // What stands behind an lse of -infinity counts as absent, whatever it holds.
        for (int64_t i = 0; i < dim; ++i) row[i] = row[i] * factor + (old_factor == 0.0f ? 0.0f : old[i] * old_factor);
        result = {static_cast<float>(top + __builtin_log(old_part + new_part)), 1.0f};
      }
    }
    write_row(args.out, args.out_dtype, index * dim, row, result.factor, dim);
    args.lse[index] = result.lse;
  }
}

inline float largest_logit(const ForwardGroup& group, int64_t count) {
  float max = -kInfinity;
  for (int64_t r = 0; r < count; ++r) max = group.max[r] <= max ? max : group.max[r];
  return max * kLn2;
}

template <typename Units, bool kSoftcap>
inline void forward_tile_of(const ForwardJob& job, float* memory, int max_run_bands, int tile, int head) {
  const MagiFfaForwardArgs& args = job.args;
  const ForwardScratch kept = forward_scratch(job, memory, max_run_bands);
  ForwardScratch scratch = kept;
  const Logits logits = Logits::of(args.softmax_scale, args.softcap);
  const int kv_head = head / (args.num_heads_q / args.num_heads_kv);
  const float* k = job.k + kv_head * job.key_rows * job.dim_units;
  const float* v = job.v + kv_head * (job.key_rows / Units::kPack) * args.head_dim;
  const int64_t row0 = static_cast<int64_t>(tile) * kTileRows;
  const int num_groups = static_cast<int>(smaller(kTileRows / kGroup, (args.total_q - row0 + kGroup - 1) / kGroup));

  for (int g = 0; g < num_groups; ++g) load_queries<Units>(job, row0 + g * kGroup, head, scratch.groups[g], scratch.rows);
  for_each_run(job.plan, tile, [&](const Run& run) {
    GroupMask masks[kTileRows / kGroup];
    for (int g = 0; g < num_groups; ++g) {
      masks[g] = make_group_mask(job.plan, run, row0 + g * kGroup, scratch.mask + g * mask_ints(max_run_bands));
    }
    // Groups take turns at each block, so that its keys and values are fetched from afar once.
    for (int64_t block = run.begin; block < run.end; block += kTileCols) {
      for (int g = 0; g < num_groups; ++g) {
        forward_block<Units, kSoftcap>(job, scratch.groups[g], masks[g], logits, k, v, block, scratch);
      }
    }
  });
  float tile_max = -kInfinity;
  for (int g = 0; g < num_groups; ++g) {
    const int64_t first = row0 + g * kGroup;
    store_group(job, first, head, scratch.groups[g], scratch.rows);
    const float group_max = largest_logit(scratch.groups[g], smaller(kGroup, args.total_q - first));
    tile_max = group_max <= tile_max ? tile_max : group_max;
  }
  if (job.tile_max != nullptr) job.tile_max[static_cast<int64_t>(head) * job.plan.num_tiles + tile] = tile_max;
}

template <typename Units>
inline void forward_tile(const ForwardJob& job, float* scratch, int max_run_bands, int tile, int head) {
  if (job.args.softcap == 0.0f) {
    forward_tile_of<Units, false>(job, scratch, max_run_bands, tile, head);
  } else {
    forward_tile_of<Units, true>(job, scratch, max_run_bands, tile, head);
  }
}

// Rows [begin, end) of a [total, heads, head_dim] tensor as units along head_dim, zeros beyond the tensor. out: row `begin`.
template <typename Units>
inline void pack_rows(float* out, const void* in, int32_t dtype, int64_t total, int heads, int head, int64_t dim,
                      int64_t begin, int64_t end) {
  const int64_t dim_units = dim / Units::kPack;
  for (int64_t row = begin; row < end; ++row) {
    float* at = out + (row - begin) * dim_units;
    if (row < total) {
      read_units<Units>(at, element_at(in, dtype, (row * heads + head) * dim), dtype, dim);
    } else {
      for (int64_t i = 0; i < dim_units; ++i) at[i] = 0.0f;
    }
  }
}

// The same rows as units along the rows, ld elements apart; begin is a multiple of the pack.
template <typename Units>
inline void pack_pairs(float* out, int64_t ld, const void* in, int32_t dtype, int64_t total, int heads, int head,
                       int64_t dim, int64_t begin, int64_t end) {
  const auto row_at = [&](int64_t row) { return row < total ? element_at(in, dtype, (row * heads + head) * dim) : nullptr; };
  for (int64_t row = begin; row < end; row += Units::kPack) {
    float* at = out + (row - begin) / Units::kPack * ld;
    int64_t filled = 0;
    if constexpr (Units::kPack == 2) {
      interleave_rows(at, row_at(row), row_at(row + 1), dim);
      filled = dim;
    } else if (row < total) {
      read_row(at, row_at(row), dtype, dim);
      filled = dim;
    }
    for (int64_t i = filled; i < ld; ++i) at[i] = 0.0f;
  }
}

template <typename Units>
inline void pack_forward(const ForwardJob& job, int head, int64_t begin, int64_t end) {
  const MagiFfaForwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  pack_rows<Units>(job.k + (head * job.key_rows + begin) * job.dim_units, args.k, args.dtype, args.total_k, args.num_heads_kv, head,
                   dim, begin, end);
  pack_pairs<Units>(job.v + (head * job.key_rows + begin) / Units::kPack * dim, dim, args.v, args.dtype, args.total_k,
                    args.num_heads_kv, head, dim, begin, end);
}
