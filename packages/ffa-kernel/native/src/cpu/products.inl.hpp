// The two matrix products that everything here is made of, around one micro-kernel. They read and write memory and stay functions
// of their own: around a micro-kernel there is no register to spare.
// Included inside an instruction set's own namespace (see kernels.inl.hpp).

// Rows whose accumulators stay in registers: 24 of 32 vectors with AVX-512, 12 of 16 elsewhere. A single vector takes twice as
// many rows: eight chains of additions would not hide their latency.
template <int kVectors>
constexpr int kStepRows = (Simd::kLanes == 16 ? 8 : 4) * (kVectors == 1 ? 2 : 1);

// acc[y][x] += sum over t of b(t, y) * a[t][x], x in vectors. b(t, y) is b[y * ldb + t] where its rows run along t (kBAlongT),
// else b[t * ldb + y].
template <typename Units, int kRows, int kVectors, bool kBAlongT>
MAGI_INLINE void accumulate(Float (&acc)[kRows][kVectors], const float* a, int64_t lda, const float* b, int64_t ldb,
                            int64_t count) {
  constexpr int kStep = kRows < kStepRows<kVectors> ? kRows : kStepRows<kVectors>;
#pragma GCC unroll 4
  for (int y0 = 0; y0 < kRows; y0 += kStep) {
    Float sum[kStep][kVectors];
#pragma GCC unroll 16
    for (int y = 0; y < kStep; ++y) {
#pragma GCC unroll 4
      for (int x = 0; x < kVectors; ++x) sum[y][x] = acc[y0 + y][x];
    }
    const float* b0 = kBAlongT ? b + y0 * ldb : b + y0;
    for (int64_t t = 0; t < count; ++t) {
      Float av[kVectors];
#pragma GCC unroll 4
      for (int x = 0; x < kVectors; ++x) av[x] = Simd::load(a + t * lda + x * Simd::kLanes);
#pragma GCC unroll 16
      for (int y = 0; y < kStep; ++y) {
        const Float bv = Simd::broadcast(kBAlongT ? b0[y * ldb + t] : b0[t * ldb + y]);
#pragma GCC unroll 4
        for (int x = 0; x < kVectors; ++x) sum[y][x] = Units::dot(sum[y][x], av[x], bv);
      }
    }
#pragma GCC unroll 16
    for (int y = 0; y < kStep; ++y) {
#pragma GCC unroll 4
      for (int x = 0; x < kVectors; ++x) acc[y0 + y][x] = sum[y][x];
    }
  }
}

// c[y, x] = sum over units u of a[u, x] * b[y, u] for kRows rows y.
template <typename Units, int kRows, int kVectors>
MAGI_INLINE void dot_rows_of(float* c, const float* a, const float* b, int64_t ldb, int64_t dim_units) {
  Float acc[kRows][kVectors];
#pragma GCC unroll 16
  for (int y = 0; y < kRows; ++y) {
#pragma GCC unroll 4
    for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::zero();
  }
  accumulate<Units, kRows, kVectors, true>(acc, a, kGroup, b, ldb, dim_units);
#pragma GCC unroll 16
  for (int y = 0; y < kRows; ++y) {
#pragma GCC unroll 4
    for (int x = 0; x < kVectors; ++x) Simd::store(c + y * kGroup + x * Simd::kLanes, acc[y][x]);
  }
}

// c[y, x] = sum over units u of a[u, x] * b[y, u]: a [dim_units, kGroup], b [count, dim_units] with rows ldb apart, c [count,
// kGroup]; count is a multiple of kPanel.
template <typename Units, int kVectors>
MAGI_NOINLINE void dot_products(float* c, const float* a, const float* b, int64_t ldb, int64_t dim_units, int64_t count) {
  constexpr int kWide = kVectors == 1 ? 2 * kPanel : kPanel;
  int64_t y = 0;
  for (; y + kWide <= count; y += kWide) dot_rows_of<Units, kWide, kVectors>(c + y * kGroup, a, b + y * ldb, ldb, dim_units);
  if (y < count) dot_rows_of<Units, kPanel, kVectors>(c + y * kGroup, a, b + y * ldb, ldb, dim_units);
}

// c[y, x] += sum over t of b[t, y] * a[t, x] for kRows rows y.
template <typename Units, int kRows, int kVectors>
MAGI_INLINE void add_rows_of(float* c, const float* a, const float* b, int64_t ldb, int64_t count) {
  Float acc[kRows][kVectors];
#pragma GCC unroll 16
  for (int y = 0; y < kRows; ++y) {
#pragma GCC unroll 4
    for (int x = 0; x < kVectors; ++x) acc[y][x] = Simd::load(c + y * kGroup + x * Simd::kLanes);
  }
  accumulate<Units, kRows, kVectors, false>(acc, a, kGroup, b, ldb, count);
#pragma GCC unroll 16
  for (int y = 0; y < kRows; ++y) {
#pragma GCC unroll 4
    for (int x = 0; x < kVectors; ++x) Simd::store(c + y * kGroup + x * Simd::kLanes, acc[y][x]);
  }
}

// c[d, x] += sum over t of b[t, d] * a[t, x] for all d: a [count, kGroup], b [count, dim] with rows ldb apart, c [dim, kGroup].
template <typename Units, int kVectors>
MAGI_NOINLINE void add_products(float* c, const float* a, const float* b, int64_t ldb, int64_t dim, int64_t count) {
  constexpr int kWide = kVectors == 1 ? 2 * kPanel : kPanel;
  int64_t d = 0;
  for (; d + kWide <= dim; d += kWide) add_rows_of<Units, kWide, kVectors>(c + d * kGroup, a, b + d, ldb, count);
  if (d < dim) add_rows_of<Units, kPanel, kVectors>(c + d * kGroup, a, b + d, ldb, count);
}
