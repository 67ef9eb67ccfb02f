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
  float* rows;    // [kGroup, head_dim]
  float* scores;  // [kTileCols, kGroup], Q K^T
  float* grads;   // [kTileCols, kGroup], dO V^T
  int32_t* mask;
  BackwardGroup groups[kBackwardRows / kGroup];
};

inline int64_t backward_scratch_floats(const BackwardJob& job, int max_run_bands) {
  const int64_t dim = job.args.head_dim;
  const int64_t group = 3 * kTileCols * kGroup + 2 * dim * kGroup + mask_ints(max_run_bands);
  return kGroup * dim + 2 * kTileCols * kGroup + (kBackwardRows / kGroup) * group;
}

template <typename Units>
inline BackwardScratch backward_scratch(const BackwardJob& job, float* memory, int max_run_bands) {
  const int64_t dim = job.args.head_dim;
  BackwardScratch s;
  const auto take = [&](int64_t floats) {
    float* at = memory;
    memory += floats;
    return at;
  };
  for (BackwardGroup& group : s.groups) {
    group.probs = take(kTileCols * kGroup);
    group.grad = take(kTileCols * kGroup);
    group.grad_rows = Units::kPack == 1 ? group.grad : take(kTileCols * kGroup);
    group.grad_k = take(dim * kGroup);
    group.grad_v = take(dim * kGroup);
    for (int64_t i = 0; i < dim * kGroup; ++i) group.grad_k[i] = group.grad_v[i] = 0.0f;
  }
  s.scores = take(kTileCols * kGroup);
  s.grads = take(kTileCols * kGroup);
  s.rows = take(kGroup * dim);
  s.mask = reinterpret_cast<int32_t*>(take(mask_ints(max_run_bands) * (kBackwardRows / kGroup)));
  return s;
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
        // Both are selected, not multiplied: rows beyond the tensor were never computed and hold anything.
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

// Where the rows of one query head begin.
struct QueryOperands {
  const float* q;
  const float* grad_out;
  const float* q_pairs;
  const float* grad_out_pairs;
};

inline QueryOperands query_operands(const BackwardJob& job, int head) {
  const auto at = [&](const Rows& rows) {
    return rows.data + (rows.is_packed ? job.slots.of_query(head) : head) * rows.head;
  };
  return {at(job.q), at(job.grad_out), at(job.q_pairs), at(job.grad_out_pairs)};
}

// One segment of a block: P, dS, and what they add to grad_k and grad_v of the group.
template <typename Units, bool kSoftcap, int kVectors>
inline void grad_segment(const BackwardJob& job, const BackwardScratch& scratch, BackwardGroup& group, const GroupMask& mask,
                         const Logits& logits, const float* k, const float* v, const QueryOperands& operands, int head,
                         int64_t block, const Segment& segment) {
  const int lane0 = segment.x0 * Simd::kLanes;
  const int64_t columns = segment.end - segment.begin;
  const int64_t first = static_cast<int64_t>(head) * job.query_rows + block;
  const int64_t start = block + segment.begin;
  const int64_t raw = segment.begin * kGroup + lane0;
  dot_products<Units, kVectors>(scratch.scores + raw, k + lane0, operands.q + start * job.q.row, job.q.row, job.dim_units,
                                smaller(columns, job.q.end - start));
  dot_products<Units, kVectors>(scratch.grads + raw, v + lane0, operands.grad_out + start * job.grad_out.row,
                                job.grad_out.row, job.dim_units, smaller(columns, job.grad_out.end - start));
  softmax_grads<Units, kSoftcap, kVectors>(job, group, mask, logits, block, first, segment, scratch.scores, scratch.grads);

  const int64_t dim = job.args.head_dim;
  const int64_t at = segment.begin / Units::kPack * kGroup + lane0;
  const int64_t pair = start / Units::kPack;
  const int64_t count = smaller(columns, job.q_pairs.end - start) / Units::kPack;
  add_products<Units, kVectors>(group.grad_v + lane0, group.probs + at,
                                operands.grad_out_pairs + pair * job.grad_out_pairs.row, job.grad_out_pairs.row, dim, count);
  add_products<Units, kVectors>(group.grad_k + lane0, group.grad + at, operands.q_pairs + pair * job.q_pairs.row,
                                job.q_pairs.row, dim, count);
}

// What one group adds to kPanel rows of grad_q, kVectors vectors from column d on. k: the group's rows, of which `keys` may be
// read.
template <typename Units, int kVectors>
MAGI_NOINLINE void add_query_panel(const BackwardJob& job, const BackwardGroup& group, const Segment& segment,
                                   const float* k, int64_t keys, float* grad_q, int64_t y0, int64_t d) {
  constexpr int64_t kUnits = kGroup / Units::kPack;
  const int64_t first = segment.x0 * Simd::kLanes / Units::kPack;
  const int64_t count = smaller(segment.vectors * Simd::kLanes / Units::kPack, keys / Units::kPack - first);
  Float acc[kPanel][kVectors];
  float* out = grad_q + y0 * job.dim_padded + d;
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::load(out + y * job.dim_padded + x * Simd::kLanes);
  }
  accumulate<Units, kPanel, kVectors, true>(acc, k + first * job.k_pairs.row + d, job.k_pairs.row,
                                            group.grad_rows + y0 * kUnits + first, kUnits, count);
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kVectors; ++x) Simd::store(out + y * job.dim_padded + x * Simd::kLanes, acc[y][x]);
  }
}

// grad_q of one block += dS K of one group.
template <typename Units>
inline void add_query_grads(const BackwardJob& job, const BackwardGroup& group, const float* k, int64_t keys, int head,
                            int64_t block) {
  float* grad_q = job.grad_q + (job.slots.of_query(head) * job.query_rows + block) * job.dim_padded;
  const int vectors = job.dim_padded / Simd::kLanes;
  for (int i = 0; i < group.segments.count; ++i) {
    const Segment& segment = group.segments.items[i];
    for (int64_t y0 = segment.begin; y0 < segment.end; y0 += kPanel) {
      for (int x = 0; x < vectors; x += kGroupVectors) {
        with_vectors(static_cast<int>(smaller(kGroupVectors, vectors - x)), [&](auto count) {
          add_query_panel<Units, decltype(count)::value>(job, group, segment, k, keys, grad_q, y0, x * Simd::kLanes);
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

// Rows of [total, heads, head_dim] from a transposed group.
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

template <typename Units, bool kSoftcap>
inline void backward_tile_of(const BackwardJob& job, float* memory, int max_run_bands, int tile, int kv_head,
                             const int32_t* ranks) {
  const MagiFfaBackwardArgs& args = job.args;
  BackwardScratch scratch = backward_scratch<Units>(job, memory, max_run_bands);
  const Logits logits = Logits::of(args.softmax_scale, args.softcap);
  const int64_t row0 = static_cast<int64_t>(tile) * kBackwardRows;
  const int num_groups = static_cast<int>(smaller(kBackwardRows / kGroup, (args.total_k - row0 + kGroup - 1) / kGroup));
  const int64_t slot = job.slots.of_kv(kv_head);
  const int64_t packed = (slot * job.key_rows + row0) * job.dim_units;  // first transposed group of the tile
  const float* k_pairs = job.k_pairs.data + (job.k_pairs.is_packed ? slot : kv_head) * job.k_pairs.head;
  const int heads_per_group = args.num_heads_q / args.num_heads_kv;

  for_each_run(job.plan, tile, [&](const Run& run) {
    GroupMask masks[kBackwardRows / kGroup];
    for (int g = 0; g < num_groups; ++g) {
      masks[g] = make_group_mask(job.plan, run, row0 + g * kGroup, scratch.mask + g * mask_ints(max_run_bands));
    }
    for (int64_t block = run.begin; block < run.end; block += kTileCols) {
      for (int i = 0; i < heads_per_group; ++i) {
        const int head = kv_head * heads_per_group + i;
        const QueryOperands operands = query_operands(job, head);
        for (int g = 0; g < num_groups; ++g) {
          BackwardGroup& group = scratch.groups[g];
          group.segments = segments_of(masks[g], block);
          const int64_t transposed = packed + static_cast<int64_t>(g) * kGroup * job.dim_units;
          for (int s = 0; s < group.segments.count; ++s) {
            const Segment& segment = group.segments.items[s];
            with_vectors(segment.vectors, [&](auto vectors) {
              grad_segment<Units, kSoftcap, decltype(vectors)::value>(job, scratch, group, masks[g], logits,
                                                                      job.k_transposed + transposed,
                                                                      job.v_transposed + transposed, operands, head, block, segment);
            });
          }
        }
        int32_t* done = job.blocks_done + static_cast<int64_t>(head) * job.num_blocks + block / kTileCols;
        wait_for_turn(done, ranks[block / kTileCols]);
        for (int g = 0; g < num_groups; ++g) {
          const int64_t key = row0 + g * kGroup;
          add_query_grads<Units>(job, scratch.groups[g], k_pairs + key / Units::kPack * job.k_pairs.row, job.k_pairs.end - key,
                                 head, block);
        }
        __atomic_store_n(done, ranks[block / kTileCols] + 1, __ATOMIC_RELEASE);
      }
    }
  });
  for (int g = 0; g < num_groups; ++g) {
    const BackwardGroup& group = scratch.groups[g];
    const int64_t first = row0 + g * kGroup;
    store_key_grad(job, args.grad_k, group.grad_k, first, kv_head, args.softmax_scale, scratch.rows);
    store_key_grad(job, args.grad_v, group.grad_v, first, kv_head, 1.0f, scratch.rows);
  }
}

template <typename Units>
inline void backward_tile(const BackwardJob& job, float* scratch, int max_run_bands, int tile, int head, const int32_t* ranks) {
  if (job.args.softcap == 0.0f) {
    backward_tile_of<Units, false>(job, scratch, max_run_bands, tile, head, ranks);
  } else {
    backward_tile_of<Units, true>(job, scratch, max_run_bands, tile, head, ranks);
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
inline void pack_queries(const BackwardJob& job, int head, int64_t begin, int64_t end) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  const int64_t slot = job.slots.of_query(head);
  const auto pack = [&](const Rows& rows, const void* tensor) {
    if (!rows.is_packed) return;
    float* out = const_cast<float*>(rows.data) + slot * rows.head + begin * rows.row;
    pack_rows<Units>(out, tensor, args.dtype, args.total_q, args.num_heads_q, head, dim, begin, end);
  };
  pack(job.q, args.q);
  pack(job.grad_out, args.grad_out);
  if constexpr (Units::kPack == 2) {
    const auto interleave = [&](const Rows& rows, const void* tensor) {
      float* out = const_cast<float*>(rows.data) + slot * rows.head + begin / 2 * rows.row;
      pack_pairs<Units>(out, dim, tensor, args.dtype, args.total_q, args.num_heads_q, head, dim, begin, end);
    };
    interleave(job.q_pairs, args.q);
    interleave(job.grad_out_pairs, args.grad_out);
  }
  float out_row[kMaxHeadDim];
  float grad_row[kMaxHeadDim];
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = head * job.query_rows + row;
    float lse = -kInfinity;
    float delta = 0.0f;
    if (row < args.total_q) {
      const int64_t index = row * args.num_heads_q + head;
      lse = args.lse[index];
      read_row(out_row, element_at(args.out, args.dtype, index * dim), args.dtype, dim);
      read_row(grad_row, element_at(args.grad_out, args.dtype, index * dim), args.dtype, dim);
      delta = dot_rows(out_row, grad_row, dim);
    }
    job.lse2[at] = lse == -kInfinity ? kInfinity : lse * kLog2E;
    job.delta[at] = delta;
    float* grad_q = job.grad_q + (slot * job.query_rows + row) * job.dim_padded;
    for (int i = 0; i < job.dim_padded; ++i) grad_q[i] = 0.0f;
  }
}

template <typename Units>
inline void pack_keys(const BackwardJob& job, int head, int64_t begin, int64_t end) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  const int64_t slot = job.slots.of_kv(head);
  float rows[kGroup * kMaxHeadDim];
  for (int64_t row = begin; row < end; row += kGroup) {
    const int64_t at = (slot * job.key_rows + row) * job.dim_units;
    pack_rows<Units>(rows, args.k, args.dtype, args.total_k, args.num_heads_kv, head, dim, row, row + kGroup);
    transpose(job.k_transposed + at, kGroup, rows, job.dim_units, kGroup, job.dim_units);
    pack_rows<Units>(rows, args.v, args.dtype, args.total_k, args.num_heads_kv, head, dim, row, row + kGroup);
    transpose(job.v_transposed + at, kGroup, rows, job.dim_units, kGroup, job.dim_units);
  }
  if (job.k_pairs.is_packed) {
    float* out = const_cast<float*>(job.k_pairs.data) + slot * job.k_pairs.head + begin / Units::kPack * job.k_pairs.row;
    pack_pairs<Units>(out, job.k_pairs.row, args.k, args.dtype, args.total_k, args.num_heads_kv, head, dim, begin, end);
  }
}

template <typename Units>
inline void finish_queries(const BackwardJob& job, int head, int64_t begin, int64_t end) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t last = smaller(end, args.total_q);
  for (int64_t row = begin; row < last; ++row) {
    const float* grad_q = job.grad_q + (job.slots.of_query(head) * job.query_rows + row) * job.dim_padded;
    write_row(args.grad_q, args.grad_dtype, (row * args.num_heads_q + head) * args.head_dim, grad_q, args.softmax_scale,
              args.head_dim);
  }
}
