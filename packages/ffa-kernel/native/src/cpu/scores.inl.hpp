// Logits and the matrix products between a group of rows and a stretch of columns. Shared by forward and backward.
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

template <int kVectors>
using Panel = Float[kPanel][kVectors];

// The two matrix products that everything here is made of. They read and write memory and stay functions of their own: around a
// micro-kernel there is no register to spare.

// c[y, x] = sum over units u of a[u, x] * b[y, u]: a [dim_units, kGroup], b [count, dim_units] with rows ldb apart, c [count,
// kGroup]. A last panel that is short ends with the last row and computes some rows twice; only if count is less than kPanel
// must kPanel rows of b exist all the same.
template <typename Units, int kVectors>
MAGI_NOINLINE void dot_products(float* c, const float* a, const float* b, int64_t ldb, int64_t dim_units, int64_t count) {
  for (int64_t panel = 0; panel < count; panel += kPanel) {
    const int64_t y0 = larger(smaller(panel, count - kPanel), 0);
    Panel<kVectors> acc;
    clear(acc);
    accumulate<Units, kPanel, kVectors, true>(acc, a, kGroup, b + y0 * ldb, ldb, dim_units);
    for (int y = 0; y < kPanel; ++y) {
      for (int x = 0; x < kVectors; ++x) Simd::store(c + (y0 + y) * kGroup + x * Simd::kLanes, acc[y][x]);
    }
  }
}

// c[d, x] += sum over t of b[t, d] * a[t, x] for all d: a [count, kGroup], b [count, dim] with rows ldb apart, c [dim, kGroup].
template <typename Units, int kVectors>
MAGI_NOINLINE void add_products(float* c, const float* a, const float* b, int64_t ldb, int64_t dim, int64_t count) {
  for (int64_t d = 0; d < dim; d += kPanel) {
    Panel<kVectors> acc;
    float* out = c + d * kGroup;
    for (int y = 0; y < kPanel; ++y) {
      for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::load(out + y * kGroup + x * Simd::kLanes);
    }
    accumulate<Units, kPanel, kVectors, false>(acc, a, kGroup, b + d, ldb, count);
    for (int y = 0; y < kPanel; ++y) {
      for (int x = 0; x < kVectors; ++x) Simd::store(out + y * kGroup + x * Simd::kLanes, acc[y][x]);
    }
  }
}
