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
};

struct ForwardScratch {
  float* rows;    // [kGroup, head_dim]
  float* k;       // one block of keys and one of values, where every tile copies its own
  float* v;
  float* scores;  // [kTileCols, kGroup]
  float* probs;   // [kTileCols / pack, kGroup] units; in the place of the scores where a unit is one of them
  int32_t* mask;
  ForwardGroup groups[kForwardRows / kGroup];
};

inline int64_t mask_ints(int max_run_bands) { return 2 * larger(1, max_run_bands) * kGroup; }

template <typename Units>
inline ForwardScratch forward_scratch(const ForwardJob& job, Arena& arena) {
  const int64_t dim = job.args.head_dim;
  ForwardScratch s;
  s.scores = arena.take(kTileCols * kGroup);
  s.probs = Units::kPack == 1 ? s.scores : arena.take(kTileCols * kGroup);
  for (ForwardGroup& group : s.groups) {
    group.q = arena.take(dim * kGroup);
    group.out = arena.take(dim * kGroup);
    group.max = arena.take(kGroup);
    group.sum = arena.take(kGroup);
  }
  s.rows = arena.take(kGroup * dim);
  s.k = job.k.place != Place::kPacked ? arena.take(floats_of<Units>(dim, kTileCols)) : nullptr;
  s.v = job.v.place != Place::kPacked ? arena.take(floats_of<Units>(dim, kTileCols)) : nullptr;
  s.mask = reinterpret_cast<int32_t*>(arena.take(mask_ints(job.max_run_bands) * (kForwardRows / kGroup)));
  return s;
}

template <typename Units>
inline int64_t forward_scratch_floats(const ForwardJob& job) {
  Arena arena;
  forward_scratch<Units>(job, arena);
  return arena.used;
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
  for (int64_t i = 0; i < kGroup * int64_t{args.head_dim}; ++i) group.out[i] = 0.0f;
}

// Turns the raw products of one segment into masked logits in base 2; raises `max` [kGroup] to their maxima.
template <bool kSoftcap, int kVectors>
inline void mask_segment(const GroupMask& mask, const Logits& logits, int64_t block, const Segment& segment, float* scores,
                         float* max) {
  const int lane0 = segment.x0 * Simd::kLanes;
  Float top[kVectors];
  for (int x = 0; x < kVectors; ++x) top[x] = Simd::load(max + lane0 + x * Simd::kLanes);
  for (int64_t y = segment.begin; y < segment.end; ++y) {
    float* row = scores + y * kGroup + lane0;
    const bool is_full = mask.is_full(block + floor_to(y, kPanel));
    Mask visible[kVectors] = {};
    if (!is_full) column_mask<kVectors>(mask, segment.x0, block + y, visible);
    for (int x = 0; x < kVectors; ++x) {
      Float s = Simd::load(row + x * Simd::kLanes);
      if constexpr (kSoftcap) s = tanh(Simd::mul(s, Simd::broadcast(logits.inner)));
      s = Simd::mul(s, Simd::broadcast(logits.scale));
      if (!is_full) s = Simd::select(visible[x], s, Simd::broadcast(-kInfinity));
      top[x] = Simd::max(top[x], s);
      Simd::store(row + x * Simd::kLanes, s);
    }
  }
  for (int x = 0; x < kVectors; ++x) Simd::store(max + lane0 + x * Simd::kLanes, top[x]);
}

// probs = exp2(scores - base), and their sums added to `sum` [kGroup].
template <typename Units, int kVectors>
inline void exponentiate_segment(const Segment& segment, const float* scores, float* probs, const float* base, float* sum) {
  const int lane0 = segment.x0 * Simd::kLanes;
  Float shift[kVectors], total[kVectors];
  for (int x = 0; x < kVectors; ++x) {
    shift[x] = Simd::load(base + lane0 + x * Simd::kLanes);
    total[x] = Simd::load(sum + lane0 + x * Simd::kLanes);
  }
  for (int64_t y = segment.begin; y < segment.end; y += Units::kPack) {
    for (int x = 0; x < kVectors; ++x) {
      const float* at = scores + y * kGroup + lane0 + x * Simd::kLanes;
      const Float even = exp2(Simd::sub(Simd::load(at), shift[x]));
      float* out = probs + y / Units::kPack * kGroup + lane0 + x * Simd::kLanes;
      if constexpr (Units::kPack == 2) {
        const Float odd = exp2(Simd::sub(Simd::load(at + kGroup), shift[x]));
        total[x] = Simd::add(total[x], Simd::add(even, odd));
        Units::store_pairs(out, even, odd);
      } else {
        total[x] = Simd::add(total[x], even);
        Simd::store(out, even);
      }
    }
  }
  for (int x = 0; x < kVectors; ++x) Simd::store(sum + lane0 + x * Simd::kLanes, total[x]);
}

// Brings sum and out from the old maxima to the new ones. base [kGroup]: the new maxima, or 0 for rows that have seen
// nothing, since -infinity less itself would be NaN.
inline void rescale(ForwardGroup& group, const float* old_max, float* base, int64_t dim) {
  for (int lane = 0; lane < kGroup; lane += Simd::kLanes) {
    const Float max = Simd::load(group.max + lane);
    const Float finite = Simd::select(Simd::equal(max, Simd::broadcast(-kInfinity)), Simd::zero(), max);
    Simd::store(base + lane, finite);
    const Float old = Simd::load(old_max + lane);
    if (!Simd::any(Simd::differ(old, max))) continue;
    const Float factor = exp2(Simd::sub(old, finite));
    Simd::store(group.sum + lane, Simd::mul(Simd::load(group.sum + lane), factor));
    for (int64_t d = 0; d < dim; ++d) {
      float* out = group.out + d * kGroup + lane;
      Simd::store(out, Simd::mul(Simd::load(out), factor));
    }
  }
}

// One block of at most kTileCols keys, [block, block + kTileCols), for one group.
template <typename Units, bool kSoftcap>
inline void forward_block(const ForwardJob& job, ForwardGroup& group, const GroupMask& mask, const Logits& logits,
                          const Block& k, const Block& v, int64_t block, const ForwardScratch& scratch) {
  const Segments segments = segments_of(mask, block);
  if (segments.count == 0) return;
  const int64_t dim = job.args.head_dim;
  float old_max[kGroup], base[kGroup];
  for (int i = 0; i < kGroup; ++i) old_max[i] = group.max[i];
  for (int i = 0; i < segments.count; ++i) {
    const Segment& segment = segments.items[i];
    with_vectors(segment.vectors, [&](auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      const int lane0 = segment.x0 * Simd::kLanes;
      dot_products<Units, kVectors>(scratch.scores + segment.begin * kGroup + lane0, group.q + lane0,
                                    k.data + segment.begin * k.row, k.row, job.dim_units,
                                    segment.end - segment.begin);
      mask_segment<kSoftcap, kVectors>(mask, logits, block, segment, scratch.scores, group.max);
    });
  }
  rescale(group, old_max, base, dim);
  for (int i = 0; i < segments.count; ++i) {
    const Segment& segment = segments.items[i];
    const int lane0 = segment.x0 * Simd::kLanes;
    const float* probs = scratch.probs + segment.begin / Units::kPack * kGroup + lane0;
    const float* values = v.data + segment.begin / Units::kPack * v.row;
    const int64_t count = (segment.end - segment.begin) / Units::kPack;
    with_vectors(segment.vectors, [&](auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      exponentiate_segment<Units, kVectors>(segment, scratch.scores, scratch.probs, base, group.sum);
      add_products<Units, kVectors>(group.out + lane0, probs, values, v.row, dim, count);
    });
  }
}

// Natural logarithm of the softmax denominator and the factor for the output of one row, with the row's sinks: logits that
// take part in the denominator and have zero values.
struct RowResult {
  float lse;
  float factor;
};

inline RowResult finish_row(const MagiFfaForwardArgs& args, int64_t row, int head, float max, float sum) {
  if (args.sink_tokens == 0) {
    if (max == -kInfinity) return {-kInfinity, 0.0f};
    return {(max + __builtin_log2f(sum)) * kLn2, 1.0f / sum};
  }
  const int64_t token_stride = args.num_heads_q;
  const float* sink = args.sink + head;
  if (args.sink_layout == MAGI_FFA_SINK_SSH) sink += row * args.sink_tokens * token_stride;
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
  transpose(rows, dim, group.out, kGroup, dim, kGroup);
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
    const bool streams = job.streams_out && stream_row(static_cast<float*>(args.out) + index * dim, row, result.factor, dim);
    if (!streams) write_row(args.out, args.out_dtype, index * dim, row, result.factor, dim);
    args.lse[index] = result.lse;
  }
}

inline float largest_logit(const ForwardGroup& group, int64_t count) {
  float max = -kInfinity;
  for (int64_t r = 0; r < count; ++r) max = group.max[r] <= max ? max : group.max[r];
  return max * kLn2;
}

template <typename Units, bool kSoftcap>
inline void forward_run(const ForwardJob& job, ForwardScratch& scratch, int num_groups, int64_t row0, int kv_head,
                        const Run& run) {
  const int64_t dim = job.args.head_dim;
  const int64_t slot = job.slots.of_kv(kv_head);
  const Logits logits = Logits::of(job.args.softmax_scale, job.args.softcap);
  GroupMask masks[kForwardRows / kGroup];
  int64_t hull_begin = run.end, hull_end = run.begin;
  for (int g = 0; g < num_groups; ++g) {
    masks[g] = make_group_mask(job.plan, run, row0 + g * kGroup, scratch.mask + g * mask_ints(job.max_run_bands));
    hull_begin = smaller(hull_begin, masks[g].begin);
    hull_end = larger(hull_end, masks[g].end);
  }
  // Groups take turns at each block, so that its keys and values are fetched from afar once.
  for (int64_t first = run.begin; first < hull_end; first += kTileCols) {
    const int64_t begin = floor_to(larger(hull_begin - first, 0), kPanel);
    const int64_t end = floor_to(smaller(hull_end - first, kTileCols) + kPanel - 1, kPanel);
    if (begin >= end) continue;
    if (first + kTileCols < hull_end) {
      prefetch_operand(job.k, kv_head, dim, first + kTileCols);
      prefetch_operand(job.v, kv_head, dim, first + kTileCols);
    }
    const Block k = block_of<Units>(job.k, slot, kv_head, dim, first, begin, end, scratch.k);
    const Block v = block_of<Units>(job.v, slot, kv_head, dim, first, begin, end, scratch.v);
    for (int g = 0; g < num_groups; ++g) {
      forward_block<Units, kSoftcap>(job, scratch.groups[g], masks[g], logits, k, v, first, scratch);
    }
  }
}

template <typename Units>
inline void forward_tile(const ForwardJob& job, float* memory, int tile, int head) {
  const MagiFfaForwardArgs& args = job.args;
  Arena arena{memory};
  ForwardScratch scratch = forward_scratch<Units>(job, arena);
  const int64_t row0 = static_cast<int64_t>(tile) * kForwardRows;
  const int64_t rows = smaller(kForwardRows, args.total_q - row0);
  const int num_groups = static_cast<int>((rows + kGroup - 1) / kGroup);

  const int64_t first = (row0 * args.num_heads_q + head) * args.head_dim;
  const int64_t stride = int64_t{args.num_heads_q} * args.head_dim;
  prefetch_elements(element_at(args.q, args.dtype, first), args.dtype, stride, args.head_dim, rows);
  if (!job.streams_out) {
    prefetch_elements(element_at(args.out, args.out_dtype, first), args.out_dtype, stride, args.head_dim, rows);
  }
  for (int g = 0; g < num_groups; ++g) load_queries<Units>(job, row0 + g * kGroup, head, scratch.groups[g], scratch.rows);
  for_each_run(job.plan, tile, [&](const Run& run) {
    const auto compute = args.softcap == 0.0f ? forward_run<Units, false> : forward_run<Units, true>;
    compute(job, scratch, num_groups, row0, head / job.slots.heads_per_group, run);
  });
  float tile_max = -kInfinity;
  for (int g = 0; g < num_groups; ++g) {
    const int64_t group_row = row0 + g * kGroup;
    store_group(job, group_row, head, scratch.groups[g], scratch.rows);
    const float group_max = largest_logit(scratch.groups[g], smaller(kGroup, args.total_q - group_row));
    tile_max = group_max <= tile_max ? tile_max : group_max;
  }
  if (job.streams_out) Simd::publish();
  if (job.tile_max != nullptr) job.tile_max[static_cast<int64_t>(head) * job.plan.num_tiles + tile] = tile_max;
}
