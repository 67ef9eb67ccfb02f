// Slices and bands on the device, as the planner reads them. Host code compiles it too.
#ifndef MAGI_FFA_CUDA_PLAN_BAND_HPP
#define MAGI_FFA_CUDA_PLAN_BAND_HPP

#include <cstdint>

#include <magi/ffa.h>

#ifdef __CUDACC__
#define MAGI_FFA_PLAN_FN __host__ __device__ __forceinline__
#else
#define MAGI_FFA_PLAN_FN inline
#endif

namespace magi::ffa::plan {

// Row r sees column c iff row0 <= r < row1, col0 <= c < col1 and lo <= c - r <= hi.
struct alignas(8) Band {
  int32_t row0;
  int32_t row1;
  int32_t col0;
  int32_t col1;
  int32_t lo;
  int32_t hi;
};

// The same before it is checked: any integers, and differences of them.
struct WideBand {
  int64_t row0;
  int64_t row1;
  int64_t col0;
  int64_t col1;
  int64_t lo;
  int64_t hi;
};

MAGI_FFA_PLAN_FN int32_t min_of(int32_t a, int32_t b) { return a < b ? a : b; }
MAGI_FFA_PLAN_FN int32_t max_of(int32_t a, int32_t b) { return a > b ? a : b; }
MAGI_FFA_PLAN_FN int64_t wide_min(int64_t a, int64_t b) { return a < b ? a : b; }
MAGI_FFA_PLAN_FN int64_t wide_max(int64_t a, int64_t b) { return a > b ? a : b; }

// Type codes: bit 0 bounds the diagonal by the bottom-right corner, bit 1 by the top-left one. Of another code nothing is
// known, so such a slice holds no cell.
MAGI_FFA_PLAN_FN WideBand slice_band(int64_t q0, int64_t q1, int64_t k0, int64_t k1, int32_t code) {
  if (code < 0 || code > 3) q1 = q0;
  return {q0, q1, k0, k1, (code & 2) != 0 ? k0 - q0 : -MAGI_FFA_UNBOUNDED, (code & 1) != 0 ? k1 - q1 : MAGI_FFA_UNBOUNDED};
}

MAGI_FFA_PLAN_FN WideBand transpose(const WideBand& band) {
  return {band.col0, band.col1, band.row0, band.row1, -band.hi, -band.lo};
}

// Cuts a band to [0, num_rows) x [0, num_cols), shrinks it to the rows and columns that see something, and widens bounds
// that exclude nothing. A band without a cell becomes one without rows.
MAGI_FFA_PLAN_FN Band clip_band(const WideBand& band, int32_t num_rows, int32_t num_cols) {
  const Band empty = {0, 0, 0, 0, -MAGI_FFA_UNBOUNDED, MAGI_FFA_UNBOUNDED};
  if (band.row0 >= band.row1 || band.col0 >= band.col1 || band.lo > band.hi) return empty;
  const int64_t lo = band.lo;
  const int64_t hi = band.hi;
  const int64_t col0 = wide_max(band.col0, 0);
  const int64_t col1 = wide_min(band.col1, num_cols);
  if (col0 >= col1) return empty;
  // Row r sees [max(col0, r + lo), min(col1, r + hi + 1)): not empty for col0 - hi <= r < col1 - lo.
  const int64_t row0 = wide_max(wide_max(band.row0, 0), col0 - hi);
  const int64_t row1 = wide_min(wide_min(band.row1, num_rows), col1 - lo);
  if (row0 >= row1) return empty;
  const int64_t first_col = wide_max(col0, row0 + lo);
  const int64_t last_col = wide_min(col1, row1 + hi) - 1;
  return {static_cast<int32_t>(row0),
          static_cast<int32_t>(row1),
          static_cast<int32_t>(first_col),
          static_cast<int32_t>(last_col + 1),
          static_cast<int32_t>(lo <= first_col - (row1 - 1) ? -MAGI_FFA_UNBOUNDED : lo),
          static_cast<int32_t>(hi >= last_col - row0 ? MAGI_FFA_UNBOUNDED : hi)};
}

}  // namespace magi::ffa::plan

#endif
