// The two matrix products that everything here is made of, around one micro-kernel. They read and write memory and stay functions
// of their own: around a micro-kernel there is no register to spare.
// Included inside an instruction set's own namespace (see kernels.inl.hpp).

// acc[y][x] += sum over t of b(t, y) * a[t][x], x in vectors. b(t, y) is b[y * ldb + t] where its rows run along t (kBAlongT),
// else b[t * ldb + y]. kStepRows rows at a time keep their accumulators in registers.
template <typename Units, int kRows, int kVectors, bool kBAlongT>
MAGI_INLINE void accumulate(Float (&acc)[kRows][kVectors], const float* a, int64_t lda, const float* b, int64_t ldb,
                            int64_t count) {
#pragma GCC unroll 2
  for (int y0 = 0; y0 < kRows; y0 += kStepRows) {
    Float sum[kStepRows][kVectors];
#pragma GCC unroll 8
    for (int y = 0; y < kStepRows; ++y) {
#pragma GCC unroll 8
      for (int x = 0; x < kVectors; ++x) sum[y][x] = acc[y0 + y][x];
    }
    const float* b0 = kBAlongT ? b + y0 * ldb : b + y0;
    for (int64_t t = 0; t < count; ++t) {
      Float av[kVectors];
#pragma GCC unroll 8
      for (int x = 0; x < kVectors; ++x) av[x] = Simd::load(a + t * lda + x * Simd::kLanes);
#pragma GCC unroll 8
      for (int y = 0; y < kStepRows; ++y) {
        const Float bv = Simd::broadcast(kBAlongT ? b0[y * ldb + t] : b0[t * ldb + y]);
#pragma GCC unroll 8
        for (int x = 0; x < kVectors; ++x) sum[y][x] = Units::dot(sum[y][x], av[x], bv);
      }
    }
#pragma GCC unroll 8
    for (int y = 0; y < kStepRows; ++y) {
#pragma GCC unroll 8
      for (int x = 0; x < kVectors; ++x) acc[y0 + y][x] = sum[y][x];
    }
  }
}

template <int kRows, int kVectors>
MAGI_INLINE void clear(Float (&acc)[kRows][kVectors]) {
#pragma GCC unroll 8
  for (int y = 0; y < kRows; ++y) {
#pragma GCC unroll 8
    for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::zero();
  }
}

template <int kVectors>
using Panel = Float[kPanel][kVectors];

// c[y, x] = sum over units u of a[u, x] * b[y, u]: a [dim_units, kGroup], b [count, dim_units] with rows ldb apart, c [count,
// kGroup]; count is a multiple of kPanel.
template <typename Units, int kVectors>
MAGI_NOINLINE void dot_products(float* c, const float* a, const float* b, int64_t ldb, int64_t dim_units, int64_t count) {
  for (int64_t y0 = 0; y0 < count; y0 += kPanel) {
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
