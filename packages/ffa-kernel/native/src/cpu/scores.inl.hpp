// Panels of scores: the product of a group with kPanel columns, scaled and capped. Shared by forward and backward.
// Included inside an instruction set's own namespace (see kernels.inl.hpp).

// How raw dot products become logits in base 2: x * scale, or cap * tanh(x * inner).
struct Logits {
  float scale;  // softmax_scale * log2(e); with softcap: softcap * log2(e)
  float inner;  // softmax_scale / softcap

  static Logits of(float softmax_scale, float softcap) {
    if (softcap == 0.0f) return {softmax_scale * kLog2E, 0.0f};
    return {softcap * kLog2E, softmax_scale / softcap};
  }
};

using Panel = Float[kPanel][kGroupVectors];

// out[y][x] = sum over units of a[., x] * b[y, .]: a is a transposed group [dim_units, kGroup], b has rows of dim_units.
template <typename Units>
MAGI_INLINE void dot_panel(Panel& out, const float* a, const float* b, int64_t dim_units) {
  clear(out);
  accumulate<Units, kPanel, kGroupVectors, true>(out, a, kGroup, b, dim_units, dim_units);
}

// c[y][x] (+)= sum over t of b[t, y] * a[t, x]: a [count, kGroup], b [count, ldb], c [kPanel, kGroup] in memory.
template <typename Units>
MAGI_INLINE void add_product(float* c, bool fresh, const float* a, const float* b, int64_t ldb, int64_t count,
                             const Float* factors) {
  Panel acc;
  if (fresh) {
    clear(acc);
  } else {
    for (int y = 0; y < kPanel; ++y) {
      for (int x = 0; x < kGroupVectors; ++x) {
        const Float old = Simd::load(c + y * kGroup + x * Simd::kLanes);
        acc[y][x] = factors != nullptr ? Simd::mul(old, factors[x]) : old;
      }
    }
  }
  accumulate<Units, kPanel, kGroupVectors, false>(acc, a, kGroup, b, ldb, count);
  for (int y = 0; y < kPanel; ++y) {
    for (int x = 0; x < kGroupVectors; ++x) Simd::store(c + y * kGroup + x * Simd::kLanes, acc[y][x]);
  }
}
