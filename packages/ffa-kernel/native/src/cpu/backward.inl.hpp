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
  int64_t begin;    // panels of the current block that the group sees
  int64_t end;
  bool is_fresh;
};

struct BackwardScratch {
  float* rows;  // [kGroup, head_dim]
  int32_t* mask;
  BackwardGroup groups[kTileRows / kGroup];
};

inline int64_t backward_scratch_floats(const BackwardJob& job, int max_run_bands) {
  const int64_t dim = job.args.head_dim;
  const int64_t group = 3 * kTileCols * kGroup + 2 * dim * kGroup + mask_ints(max_run_bands);
  return kGroup * dim + (kTileRows / kGroup) * group;
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
    group.is_fresh = true;
  }
  s.rows = take(kGroup * dim);
  s.mask = reinterpret_cast<int32_t*>(take(mask_ints(max_run_bands) * (kTileRows / kGroup)));
  return s;
}

// P and dS of kPanel queries and one group of keys; y is the panel's place in the block.
template <typename Units, bool kSoftcap>
inline void grad_panel(const BackwardJob& job, const BackwardGroup& group, const GroupMask& mask, const Logits& logits,
                       const float* k, const float* v, int head, int64_t block, int64_t y0) {
  const int64_t first = static_cast<int64_t>(head) * job.query_rows + block + y0;
  Panel p, ds;
  dot_panel<Units>(p, k, job.q + first * job.dim_units, job.dim_units);
  const bool is_full = mask.is_full(block + y0);
  float slopes[kSoftcap ? kPanel * kGroup : 1];  // d capped / d raw
  for (int y = 0; y < kPanel; ++y) {
    const Float lse2 = Simd::broadcast(job.lse2[first + y]);
    for (int x = 0; x < kGroupVectors; ++x) {
      if constexpr (kSoftcap) {
        p[y][x] = tanh(Simd::mul(p[y][x], Simd::broadcast(logits.inner)));
        const Float slope = Simd::sub(Simd::broadcast(1.0f), Simd::mul(p[y][x], p[y][x]));
        Simd::store(slopes + y * kGroup + x * Simd::kLanes, slope);
      }
      p[y][x] = exp2(Simd::sub(Simd::mul(p[y][x], Simd::broadcast(logits.scale)), lse2));
    }
    if (!is_full) {
      Mask visible[kGroupVectors];
      column_mask(mask, block + y0 + y, visible);
      for (int x = 0; x < kGroupVectors; ++x) p[y][x] = Simd::select(visible[x], p[y][x], Simd::zero());
    }
  }
  dot_panel<Units>(ds, v, job.grad_out + first * job.dim_units, job.dim_units);
  for (int y = 0; y < kPanel; ++y) {
    const Float delta = Simd::broadcast(job.delta[first + y]);
    for (int x = 0; x < kGroupVectors; ++x) {
      ds[y][x] = Simd::mul(p[y][x], Simd::sub(ds[y][x], delta));
      if constexpr (kSoftcap) ds[y][x] = Simd::mul(ds[y][x], Simd::load(slopes + y * kGroup + x * Simd::kLanes));
    }
  }
  for (int y = 0; y < kPanel; y += Units::kPack) {
    const int64_t row = (y0 + y) / Units::kPack * kGroup;
    for (int x = 0; x < kGroupVectors; ++x) {
      const int lane = x * Simd::kLanes;
      if constexpr (Units::kPack == 2) {
        Units::store_pairs(group.probs + row + lane, p[y][x], p[y + 1][x]);
        Units::store_pairs(group.grad + row + lane, ds[y][x], ds[y + 1][x]);
        float* grad_rows = group.grad_rows + (y0 + y) * (kGroup / 2) + lane / 2;
        Units::store_row(grad_rows, ds[y][x]);
        Units::store_row(grad_rows + kGroup / 2, ds[y + 1][x]);
      } else {
        Simd::store(group.probs + row + lane, p[y][x]);
        Simd::store(group.grad + row + lane, ds[y][x]);
      }
    }
  }
}

// grad_k and grad_v of one group from the block's panels [group.begin, group.end).
template <typename Units>
inline void add_key_grads(const BackwardJob& job, BackwardGroup& group, int head, int64_t block) {
  const int64_t dim = job.args.head_dim;
  const int64_t count = (group.end - group.begin) / Units::kPack;
  const int64_t at = group.begin / Units::kPack * kGroup;
  const int64_t first = (static_cast<int64_t>(head) * job.query_rows + block + group.begin) / Units::kPack * dim;
  for (int64_t d = 0; d < dim; d += kPanel) {
    add_product<Units>(group.grad_v + d * kGroup, group.is_fresh, group.probs + at, job.grad_out_pairs + first + d, dim,
                       count, nullptr);
    add_product<Units>(group.grad_k + d * kGroup, group.is_fresh, group.grad + at, job.q_pairs + first + d, dim, count,
                       nullptr);
  }
  group.is_fresh = false;
}

// kPanel rows of grad_q, kVectors vectors from column d on: += dS K over the groups that see the panel.
template <typename Units, int kVectors>
inline void add_query_grad(const BackwardJob& job, const BackwardScratch& scratch, int num_groups, const float* k,
                           float* grad_q, int64_t y0, int64_t d) {
  Float acc[kPanel][kVectors];
  float* out = grad_q + y0 * job.dim_padded + d;
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::load(out + y * job.dim_padded + x * Simd::kLanes);
  }
  for (int g = 0; g < num_groups; ++g) {
    const BackwardGroup& group = scratch.groups[g];
    if (y0 < group.begin || y0 >= group.end) continue;
    constexpr int64_t kUnits = kGroup / Units::kPack;
    accumulate<Units, kPanel, kVectors, true>(acc, k + g * kUnits * job.dim_padded + d, job.dim_padded,
                                              group.grad_rows + y0 * kUnits, kUnits, kUnits);
  }
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kVectors; ++x) Simd::store(out + y * job.dim_padded + x * Simd::kLanes, acc[y][x]);
  }
}

template <typename Units>
inline void add_query_grads(const BackwardJob& job, const BackwardScratch& scratch, int num_groups, const float* k, int head,
                            int64_t block) {
  int64_t begin = kTileCols, end = 0;
  for (int g = 0; g < num_groups; ++g) {
    const BackwardGroup& group = scratch.groups[g];
    if (group.begin >= group.end) continue;
    begin = smaller(begin, group.begin);
    end = larger(end, group.end);
  }
  float* grad_q = job.grad_q + (static_cast<int64_t>(head) * job.query_rows + block) * job.dim_padded;
  const int64_t vectors = job.dim_padded / Simd::kLanes;
  for (int64_t y0 = begin; y0 < end; y0 += kPanel) {
    int64_t x = 0;
    for (; x + 3 <= vectors; x += 3) add_query_grad<Units, 3>(job, scratch, num_groups, k, grad_q, y0, x * Simd::kLanes);
    if (vectors - x == 2) add_query_grad<Units, 2>(job, scratch, num_groups, k, grad_q, y0, x * Simd::kLanes);
    if (vectors - x == 1) add_query_grad<Units, 1>(job, scratch, num_groups, k, grad_q, y0, x * Simd::kLanes);
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
inline void store_key_grad(const BackwardJob& job, void* out, float* grad, bool is_fresh, int64_t row0, int head, float scale,
                           float* rows) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  if (is_fresh) {
    for (int64_t i = 0; i < kGroup * dim; ++i) rows[i] = 0.0f;
  } else {
    transpose(rows, dim, grad, kGroup, dim, kGroup);
  }
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
  const int64_t row0 = static_cast<int64_t>(tile) * kTileRows;
  const int num_groups = static_cast<int>(smaller(kTileRows / kGroup, (args.total_k - row0 + kGroup - 1) / kGroup));
  const int64_t packed = (kv_head * job.key_rows + row0) * job.dim_units;  // first transposed group of the tile
  const float* k_pairs = job.k_pairs + (kv_head * job.key_rows + row0) / Units::kPack * job.dim_padded;
  const int heads_per_group = args.num_heads_q / args.num_heads_kv;

  for_each_run(job.plan, tile, [&](const Run& run) {
    GroupMask masks[kTileRows / kGroup];
    for (int g = 0; g < num_groups; ++g) {
      masks[g] = make_group_mask(job.plan, run, row0 + g * kGroup, scratch.mask + g * mask_ints(max_run_bands));
    }
    for (int64_t block = run.begin; block < run.end; block += kTileCols) {
      for (int i = 0; i < heads_per_group; ++i) {
        const int head = kv_head * heads_per_group + i;
        for (int g = 0; g < num_groups; ++g) {
          BackwardGroup& group = scratch.groups[g];
          group.begin = floor_to(larger(masks[g].begin, block) - block, kPanel);
          group.end = floor_to(smaller(masks[g].end, block + kTileCols) - block + kPanel - 1, kPanel);
          if (group.begin >= group.end) continue;
          const int64_t transposed = packed + static_cast<int64_t>(g) * kGroup * job.dim_units;
          for (int64_t y = group.begin; y < group.end; y += kPanel) {
            grad_panel<Units, kSoftcap>(job, group, masks[g], logits, job.k_transposed + transposed,
                                        job.v_transposed + transposed, head, block, y);
          }
          add_key_grads<Units>(job, group, head, block);
        }
        int32_t* done = job.blocks_done + static_cast<int64_t>(head) * job.num_blocks + block / kTileCols;
        wait_for_turn(done, ranks[block / kTileCols]);
        add_query_grads<Units>(job, scratch, num_groups, k_pairs, head, block);
        __atomic_store_n(done, ranks[block / kTileCols] + 1, __ATOMIC_RELEASE);
      }
    }
  });
  for (int g = 0; g < num_groups; ++g) {
    const BackwardGroup& group = scratch.groups[g];
    const int64_t first = row0 + g * kGroup;
    store_key_grad(job, args.grad_k, group.grad_k, group.is_fresh, first, kv_head, args.softmax_scale, scratch.rows);
    store_key_grad(job, args.grad_v, group.grad_v, group.is_fresh, first, kv_head, 1.0f, scratch.rows);
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
  const int64_t units = (head * job.query_rows + begin) * job.dim_units;
  pack_rows<Units>(job.q + units, args.q, args.dtype, args.total_q, args.num_heads_q, head, dim, begin, end);
  pack_rows<Units>(job.grad_out + units, args.grad_out, args.dtype, args.total_q, args.num_heads_q, head, dim, begin, end);
  if constexpr (Units::kPack == 2) {
    const int64_t pairs = (head * job.query_rows + begin) / 2 * dim;
    pack_pairs<Units>(job.q_pairs + pairs, dim, args.q, args.dtype, args.total_q, args.num_heads_q, head, dim, begin, end);
    pack_pairs<Units>(job.grad_out_pairs + pairs, dim, args.grad_out, args.dtype, args.total_q, args.num_heads_q, head, dim,
                      begin, end);
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
    float* grad_q = job.grad_q + at * job.dim_padded;
    for (int i = 0; i < job.dim_padded; ++i) grad_q[i] = 0.0f;
  }
}

template <typename Units>
inline void pack_keys(const BackwardJob& job, int head, int64_t begin, int64_t end) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t dim = args.head_dim;
  float rows[kGroup * kMaxHeadDim];
  for (int64_t row = begin; row < end; row += kGroup) {
    const int64_t at = (head * job.key_rows + row) * job.dim_units;
    pack_rows<Units>(rows, args.k, args.dtype, args.total_k, args.num_heads_kv, head, dim, row, row + kGroup);
    transpose(job.k_transposed + at, kGroup, rows, job.dim_units, kGroup, job.dim_units);
    pack_rows<Units>(rows, args.v, args.dtype, args.total_k, args.num_heads_kv, head, dim, row, row + kGroup);
    transpose(job.v_transposed + at, kGroup, rows, job.dim_units, kGroup, job.dim_units);
  }
  pack_pairs<Units>(job.k_pairs + (head * job.key_rows + begin) / Units::kPack * job.dim_padded, job.dim_padded, args.k, args.dtype,
                    args.total_k, args.num_heads_kv, head, dim, begin, end);
}

template <typename Units>
inline void finish_queries(const BackwardJob& job, int head, int64_t begin, int64_t end) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t last = smaller(end, args.total_q);
  for (int64_t row = begin; row < last; ++row) {
    const float* grad_q = job.grad_q + (head * job.query_rows + row) * job.dim_padded;
    write_row(args.grad_q, args.grad_dtype, (row * args.num_heads_q + head) * args.head_dim, grad_q, args.softmax_scale,
              args.head_dim);
  }
}
