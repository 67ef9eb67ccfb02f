// Backward: one tile of keys of one key/value head at a time, over the queries that see it (FlashAttention-2's loop order; Dao,
// 2023). The tile owns its rows of grad_k and grad_v; grad_q is added to in the plan's tile order.
//
// Vectors run along keys. With S = Q K^T in base 2, P = exp2(S - lse2), dP = dO V^T and dS = P * (dP - delta):
//   dV^T [dim, keys]    += dO^T P      dK^T [dim, keys] += Q^T dS      dQ [queries, dim] += dS K
// Included inside an instruction set's own namespace (see kernels.inl.hpp).

struct BackwardGroup {
  float* probs;     // [kTileCols / pack, kGroup] units along queries
  float* grad;      // dS, like probs
  float* grad_rows; // dS, [kTileCols, kGroup / pack] units along keys (grad itself where pack is 1)
  float* grad_k;    // [head_dim, kGroup]
  float* grad_v;    // [head_dim, kGroup]
  Segments segments; // what the group sees of the current block
};

struct BackwardScratch {
  float* rows;          // [kGroup, head_dim]
  float* k_transposed;  // [kBackwardRows / kGroup, dim_units, kGroup]
  float* v_transposed;
  float* k_pairs;       // [kBackwardRows / pack, dim_padded], units along keys
  float* scores;        // [kTileCols, kGroup], Q K^T
  float* grads;         // [kTileCols, kGroup], dO V^T
  float* q;             // one block each, where every tile copies its own
  float* grad_out;
  float* q_pairs;
  float* grad_out_pairs;
  int32_t* mask;
  BackwardGroup groups[kBackwardRows / kGroup];
};

template <typename Units>
inline BackwardScratch backward_scratch(const BackwardJob& job, Arena& arena) {
  const int64_t dim = job.args.head_dim;
  BackwardScratch s;
  for (BackwardGroup& group : s.groups) {
    group.probs = arena.take(kTileCols * kGroup);
    group.grad = arena.take(kTileCols * kGroup);
    group.grad_rows = Units::kPack == 1 ? group.grad : arena.take(kTileCols * kGroup);
    group.grad_k = arena.take(dim * kGroup);
    group.grad_v = arena.take(dim * kGroup);
  }
  s.k_transposed = arena.take(kBackwardRows * job.dim_units);
  s.v_transposed = arena.take(kBackwardRows * job.dim_units);
  s.k_pairs = arena.take(kBackwardRows * job.dim_padded);
  s.scores = arena.take(kTileCols * kGroup);
  s.grads = arena.take(kTileCols * kGroup);
  s.rows = arena.take(kGroup * dim);
  const auto local = [&](const Operand& operand) {
    return operand.place != Place::kPacked ? arena.take(floats_of<Units>(dim, kTileCols)) : nullptr;
  };
  s.q = local(job.q);
  s.grad_out = local(job.grad_out);
  s.q_pairs = Units::kPack == 1 ? s.q : local(job.q_pairs);
  s.grad_out_pairs = Units::kPack == 1 ? s.grad_out : local(job.grad_out_pairs);
  s.mask = reinterpret_cast<int32_t*>(arena.take(mask_ints(job.max_run_bands) * (kBackwardRows / kGroup)));
  return s;
}

template <typename Units>
inline int64_t backward_scratch_floats(const BackwardJob& job) {
  Arena arena;
  backward_scratch<Units>(job, arena);
  return arena.used;
}

// The tile's keys and values, transposed group by group, and the keys once more as units along their rows.
template <typename Units>
inline void load_keys(const BackwardJob& job, int64_t row0, int num_groups, int kv_head, BackwardScratch& s) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  const auto load = [&](const void* tensor, float* out) {
    for (int64_t g = 0; g < num_groups; ++g) {
      const int64_t row = row0 + g * kGroup;
      pack_rows<Units>(s.rows, tensor, args.dtype, args.total_k, args.num_heads_kv, kv_head, dim, row, row + kGroup);
      transpose(out + g * kGroup * job.dim_units, kGroup, s.rows, job.dim_units, kGroup, job.dim_units);
    }
  };
  load(args.k, s.k_transposed);
  load(args.v, s.v_transposed);
  pack_pairs<Units>(s.k_pairs, job.dim_padded, args.k, args.dtype, args.total_k, args.num_heads_kv, kv_head, dim, row0,
                    row0 + num_groups * kGroup);
  for (int g = 0; g < num_groups; ++g) {
    for (int64_t i = 0; i < dim * kGroup; ++i) s.groups[g].grad_k[i] = s.groups[g].grad_v[i] = 0.0f;
  }
}

// From the raw products Q K^T (scores) and dO V^T (grads) of one segment to P and dS. first: the block's first query in lse2
// and delta.
template <typename Units, bool kSoftcap, int kVectors>
inline void softmax_grads(const BackwardJob& job, const BackwardGroup& group, const GroupMask& mask, const Logits& logits,
                          int64_t block, int64_t first, const Segment& segment, const float* scores, const float* grads) {
  const int lane0 = segment.x0 * Simd::kLanes;
  for (int64_t y0 = segment.begin; y0 < segment.end; y0 += Units::kPack) {
    Float p[Units::kPack][kVectors], ds[Units::kPack][kVectors];
    for (int i = 0; i < Units::kPack; ++i) {
      const int64_t y = y0 + i;
      const Float lse2 = Simd::broadcast(job.lse2[first + y]);
      const Float delta = Simd::broadcast(job.delta[first + y]);
      const bool is_full = mask.is_full(block + floor_to(y, kPanel));
      Mask visible[kVectors] = {};
      if (!is_full) column_mask<kVectors>(mask, segment.x0, block + y, visible);
      for (int x = 0; x < kVectors; ++x) {
        const int64_t at = y * kGroup + lane0 + x * Simd::kLanes;
        Float s = Simd::load(scores + at);
        Float slope = Simd::broadcast(1.0f);  // d capped / d raw
        if constexpr (kSoftcap) {
          s = tanh(Simd::mul(s, Simd::broadcast(logits.inner)));
          slope = Simd::sub(slope, Simd::mul(s, s));
        }
        s = exp2(Simd::sub(Simd::mul(s, Simd::broadcast(logits.scale)), lse2));
        p[i][x] = s;
        ds[i][x] = Simd::mul(s, Simd::sub(Simd::load(grads + at), delta));
        if constexpr (kSoftcap) ds[i][x] = Simd::mul(ds[i][x], slope);
        if (is_full) continue;
        // Both are selected, not multiplied: what a masked cell computes may be infinite.
        p[i][x] = Simd::select(visible[x], p[i][x], Simd::zero());
        ds[i][x] = Simd::select(visible[x], ds[i][x], Simd::zero());
      }
    }
    const int64_t row = y0 / Units::kPack * kGroup + lane0;
    for (int x = 0; x < kVectors; ++x) {
      const int lane = x * Simd::kLanes;
      if constexpr (Units::kPack == 2) {
        Units::store_pairs(group.probs + row + lane, p[0][x], p[1][x]);
        Units::store_pairs(group.grad + row + lane, ds[0][x], ds[1][x]);
        float* grad_rows = group.grad_rows + y0 * (kGroup / 2) + (lane0 + lane) / 2;
        Units::store_row(grad_rows, ds[0][x]);
        Units::store_row(grad_rows + kGroup / 2, ds[1][x]);
      } else {
        Simd::store(group.probs + row + lane, p[0][x]);
        Simd::store(group.grad + row + lane, ds[0][x]);
      }
    }
  }
}

// One block of queries of one head.
struct QueryBlock {
  int64_t first;  // the block's first query
  int head;
  Block q;
  Block grad_out;
  Block q_pairs;
  Block grad_out_pairs;
};

// Rows [begin, end) of the block must be there.
template <typename Units>
inline QueryBlock load_queries(const BackwardJob& job, const BackwardScratch& s, int head, int64_t first, int64_t begin,
                               int64_t end) {
  const int64_t slot = job.slots.of_query(head);
  const auto load = [&](const Operand& operand, float* local) {
    return block_of<Units>(operand, slot, head, job.args.head_dim, first, begin, end, local);
  };
  QueryBlock block{first, head, load(job.q, s.q), load(job.grad_out, s.grad_out), {}, {}};
  block.q_pairs = Units::kPack == 1 ? block.q : load(job.q_pairs, s.q_pairs);
  block.grad_out_pairs = Units::kPack == 1 ? block.grad_out : load(job.grad_out_pairs, s.grad_out_pairs);
  return block;
}

// One segment of a block: P, dS, and what they add to grad_k and grad_v of the group. k, v: the group's, transposed.
template <typename Units, bool kSoftcap, int kVectors>
inline void grad_segment(const BackwardJob& job, const BackwardScratch& scratch, BackwardGroup& group, const GroupMask& mask,
                         const Logits& logits, const float* k, const float* v, const QueryBlock& block,
                         const Segment& segment) {
  const int lane0 = segment.x0 * Simd::kLanes;
  const int64_t begin = segment.begin;
  const int64_t raw = begin * kGroup + lane0;
  dot_products<Units, kVectors>(scratch.scores + raw, k + lane0, block.q.data + begin * block.q.row, block.q.row,
                                job.dim_units, segment.end - begin);
  dot_products<Units, kVectors>(scratch.grads + raw, v + lane0, block.grad_out.data + begin * block.grad_out.row,
                                block.grad_out.row, job.dim_units, segment.end - begin);
  softmax_grads<Units, kSoftcap, kVectors>(job, group, mask, logits, block.first, block.head * job.query_rows + block.first,
                                           segment, scratch.scores, scratch.grads);

  const int64_t dim = job.args.head_dim;
  const int64_t pair = begin / Units::kPack;
  const int64_t count = (segment.end - begin) / Units::kPack;
  add_products<Units, kVectors>(group.grad_v + lane0, group.probs + pair * kGroup + lane0,
                                block.grad_out_pairs.data + pair * block.grad_out_pairs.row, block.grad_out_pairs.row, dim,
                                count);
  add_products<Units, kVectors>(group.grad_k + lane0, group.grad + pair * kGroup + lane0,
                                block.q_pairs.data + pair * block.q_pairs.row, block.q_pairs.row, dim, count);
}

// What one group adds to kPanel rows of grad_q, kVectors vectors from column d on. k: the group's keys, units along rows.
template <typename Units, int kVectors>
MAGI_NOINLINE void add_query_panel(const BackwardGroup& group, const Segment& segment, const float* k, int64_t dim_padded,
                                   float* grad_q, int64_t y0, int64_t d) {
  constexpr int64_t kUnits = kGroup / Units::kPack;
  const int64_t first = segment.x0 * Simd::kLanes / Units::kPack;
  const int64_t count = segment.vectors * Simd::kLanes / Units::kPack;
  Float acc[kPanel][kVectors];
  float* out = grad_q + y0 * dim_padded + d;
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::load(out + y * dim_padded + x * Simd::kLanes);
  }
  accumulate<Units, kPanel, kVectors, true>(acc, k + first * dim_padded + d, dim_padded,
                                            group.grad_rows + y0 * kUnits + first, kUnits, count);
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kVectors; ++x) Simd::store(out + y * dim_padded + x * Simd::kLanes, acc[y][x]);
  }
}

// grad_q of one block += dS K of one group.
template <typename Units>
inline void add_query_grads(const BackwardGroup& group, const float* k, int64_t dim_padded, float* grad_q) {
  const int vectors = static_cast<int>(dim_padded / Simd::kLanes);
  for (int i = 0; i < group.segments.count; ++i) {
    const Segment& segment = group.segments.items[i];
    for (int64_t y0 = segment.begin; y0 < segment.end; y0 += kPanel) {
      for (int x = 0; x < vectors; x += kGroupVectors) {
        with_vectors(static_cast<int>(smaller(kGroupVectors, vectors - x)), [&](auto count) {
          add_query_panel<Units, decltype(count)::value>(group, segment, k, dim_padded, grad_q, y0, x * Simd::kLanes);
        });
      }
    }
  }
}

inline void wait_for_turn(const int32_t* done, int32_t rank) {
  // Tiles are claimed in order, so the one that is waited for is running or finished, here or on another thread.
  for (int spins = 0; __atomic_load_n(done, __ATOMIC_ACQUIRE) != rank; ++spins) {
    if (spins < 256) {
      relax();
    } else {
      yield_thread();
    }
  }
}

// The tile's turn at one block of grad_q: the first tile clears it, each adds its part, and the last one writes it out.
template <typename Units>
inline void take_turn(const BackwardJob& job, const BackwardScratch& scratch, int num_groups, int head, int64_t first,
                      int32_t rank) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t block = first / kTileCols;
  int32_t* done = job.blocks_done + static_cast<int64_t>(head) * job.num_blocks + block;
  float* grad_q = job.grad_q + (job.slots.of_query(head) * job.query_rows + first) * job.dim_padded;
  wait_for_turn(done, rank);
  if (rank == 0) {
    for (int64_t i = 0; i < int64_t{kTileCols} * job.dim_padded; ++i) grad_q[i] = 0.0f;
  }
  for (int g = 0; g < num_groups; ++g) {
    const float* k = scratch.k_pairs + g * (kGroup / Units::kPack) * static_cast<int64_t>(job.dim_padded);
    add_query_grads<Units>(scratch.groups[g], k, job.dim_padded, grad_q);
  }
  if (rank + 1 == job.block_visits[block]) {
    const int64_t rows = smaller(kTileCols, args.total_q - first);
    for (int64_t r = 0; r < rows; ++r) {
      write_row(args.grad_q, args.grad_dtype, ((first + r) * args.num_heads_q + head) * args.head_dim,
                grad_q + r * job.dim_padded, args.softmax_scale, args.head_dim);
    }
  }
  __atomic_store_n(done, rank + 1, __ATOMIC_RELEASE);
}

template <typename Units, bool kSoftcap>
inline void backward_run(const BackwardJob& job, BackwardScratch& scratch, int num_groups, int64_t row0, int kv_head,
                         const Run& run, const int32_t* ranks) {
  const Logits logits = Logits::of(job.args.softmax_scale, job.args.softcap);
  GroupMask masks[kBackwardRows / kGroup];
  int64_t hull_begin = run.end, hull_end = run.begin;
  for (int g = 0; g < num_groups; ++g) {
    masks[g] = make_group_mask(job.plan, run, row0 + g * kGroup, scratch.mask + g * mask_ints(job.max_run_bands));
    hull_begin = smaller(hull_begin, masks[g].begin);
    hull_end = larger(hull_end, masks[g].end);
  }
  for (int64_t first = run.begin; first < run.end; first += kTileCols) {
    const int64_t begin = floor_to(larger(hull_begin - first, 0), kPanel);
    const int64_t end = floor_to(smaller(hull_end - first, kTileCols) + kPanel - 1, kPanel);
    for (int i = 0; i < job.slots.heads_per_group; ++i) {
      const int head = kv_head * job.slots.heads_per_group + i;
      if (begin < end) {
        const QueryBlock block = load_queries<Units>(job, scratch, head, first, begin, end);
        const bool is_last_head = i + 1 == job.slots.heads_per_group;
        const int64_t next = is_last_head ? first + kTileCols : first;
        const int next_head = is_last_head ? head - i : head + 1;
        if (next < hull_end) {
          prefetch_operand(job.q, next_head, job.args.head_dim, next);
          prefetch_operand(job.grad_out, next_head, job.args.head_dim, next);
        }
        for (int g = 0; g < num_groups; ++g) {
          BackwardGroup& group = scratch.groups[g];
          group.segments = segments_of(masks[g], first);
          const int64_t transposed = static_cast<int64_t>(g) * kGroup * job.dim_units;
          for (int n = 0; n < group.segments.count; ++n) {
            const Segment& segment = group.segments.items[n];
            with_vectors(segment.vectors, [&](auto vectors) {
              grad_segment<Units, kSoftcap, decltype(vectors)::value>(job, scratch, group, masks[g], logits,
                                                                      scratch.k_transposed + transposed,
                                                                      scratch.v_transposed + transposed, block, segment);
            });
          }
        }
      } else {
        for (int g = 0; g < num_groups; ++g) scratch.groups[g].segments.count = 0;
      }
      take_turn<Units>(job, scratch, num_groups, head, first, ranks[first / kTileCols]);
    }
  }
}

// Rows of [total_k, num_heads_kv, head_dim] from a transposed group.
inline void store_key_grad(const BackwardJob& job, void* out, const float* grad, int64_t row0, int head, float scale,
                           float* rows) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  transpose(rows, dim, grad, kGroup, dim, kGroup);
  const int64_t count = smaller(kGroup, args.total_k - row0);
  for (int64_t r = 0; r < count; ++r) {
    write_row(out, args.grad_dtype, ((row0 + r) * args.num_heads_kv + head) * dim, rows + r * dim, scale, dim);
  }
}

template <typename Units>
inline void backward_tile(const BackwardJob& job, float* memory, int tile, int kv_head, const int32_t* ranks) {
  const MagiFfaBackwardArgs& args = job.args;
  Arena arena{memory};
  BackwardScratch scratch = backward_scratch<Units>(job, arena);
  const int64_t row0 = static_cast<int64_t>(tile) * kBackwardRows;
  const int num_groups = static_cast<int>((smaller(kBackwardRows, args.total_k - row0) + kGroup - 1) / kGroup);
  load_keys<Units>(job, row0, num_groups, kv_head, scratch);
  for_each_run(job.plan, tile, [&](const Run& run) {
    const auto compute = args.softcap == 0.0f ? backward_run<Units, false> : backward_run<Units, true>;
    compute(job, scratch, num_groups, row0, kv_head, run, ranks);
  });
  for (int g = 0; g < num_groups; ++g) {
    const BackwardGroup& group = scratch.groups[g];
    const int64_t first = row0 + g * kGroup;
    store_key_grad(job, args.grad_k, group.grad_k, first, kv_head, args.softmax_scale, scratch.rows);
    store_key_grad(job, args.grad_v, group.grad_v, first, kv_head, 1.0f, scratch.rows);
  }
}

inline float dot_rows(const float* a, const float* b, int64_t count) {
  // Eight running sums: a fixed order, and a loop that compilers vectorise.
  float sums[8] = {};
  for (int64_t i = 0; i < count; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

template <typename Units>
inline void prepare_queries(const BackwardJob& job, int64_t begin, int64_t end) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  float out_row[kMaxHeadDim];
  float grad_row[kMaxHeadDim];
  for (int64_t row = begin; row < end; ++row) {
    const bool is_visited = job.block_visits[row / kTileCols] > 0;
    for (int64_t head = 0; head < args.num_heads_q; ++head) {
      float lse = -kInfinity;
      float delta = 0.0f;
      if (row < args.total_q) {
        const int64_t index = row * args.num_heads_q + head;
        lse = args.lse[index];
        read_row(out_row, element_at(args.out, args.dtype, index * dim), args.dtype, dim);
        read_row(grad_row, element_at(args.grad_out, args.dtype, index * dim), args.dtype, dim);
        delta = dot_rows(out_row, grad_row, dim);
        if (!is_visited) {
          for (int64_t i = 0; i < dim; ++i) grad_row[i] = 0.0f;
          write_row(args.grad_q, args.grad_dtype, index * dim, grad_row, 1.0f, dim);
        }
      }
      job.lse2[head * job.query_rows + row] = lse == -kInfinity ? kInfinity : lse * kLog2E;
      job.delta[head * job.query_rows + row] = delta;
    }
  }
}
