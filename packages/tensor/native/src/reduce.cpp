// Sums along one dimension. The tree is fixed by the shape: blocks (kSumBlock elements, or kBlockRows rows) are summed
// in the compute type, blocks of a chunk and then chunks in float64 (int64 for integers).
#include "internal.hpp"
#include "vector_kernels.hpp"

#include <magi/scratch.hpp>
#include <magi/tensor.h>

#include <cstring>
#include <type_traits>

namespace magi {
namespace {

constexpr int64_t kChunkElements = 65536;  // along the reduced dimension, when it is the innermost
constexpr int64_t kChunkRows = 2048;       // likewise, when it is not
constexpr int64_t kBlockRows = 32;
constexpr int64_t kTileCols = 1024;

// Integers wrap.
inline double add(double a, double b) { return a + b; }
inline int64_t add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// The sum of get(begin) .. get(end - 1) by halves: its rounding error grows with the logarithm of the count.
template <typename Total, typename Get>
Total pairwise(int64_t begin, int64_t end, const Get& get) {
  if (end - begin == 1) return get(begin);
  const int64_t middle = begin + (end - begin) / 2;
  return add(pairwise<Total>(begin, middle, get), pairwise<Total>(middle, end, get));
}

struct Shape {
  int64_t outer;
  int64_t reduced;
  int64_t inner;
  int32_t dtype;
  int64_t chunk_rows() const { return inner == 1 ? kChunkElements : kChunkRows; }
  int64_t chunks() const { return reduced == 0 ? 1 : (reduced - 1) / chunk_rows() + 1; }
  int64_t tiles() const { return (inner - 1) / kTileCols + 1; }
};

// A contiguous run of the reduced dimension.
template <typename Total>
Total sum_run(const VectorKernels& kernels, const void* in, int64_t count, int32_t dtype) {
  const int64_t blocks = (count + kSumBlock - 1) / kSumBlock;
  if (blocks == 0) return Total(0);
  return pairwise<Total>(0, blocks, [&](int64_t block) -> Total {
    const int64_t first = block * kSumBlock;
    const int64_t size = std::min(kSumBlock, count - first);
    const void* data = offset_bytes(in, first * element_size(dtype));
    if constexpr (std::is_same_v<Total, double>) return kernels.sum_floats[dtype](data, size);
    else return kernels.sum_integers[dtype - MAGI_INT32](data, size);
  });
}

// `cols` columns of a chunk of rows, a block at a time. Block is what the accumulate kernel adds in.
template <typename Total, typename Block>
void sum_columns(const VectorKernels& kernels, Total* totals, const void* in, int64_t rows, int64_t stride,
                 int64_t cols, int32_t dtype) {
  Block sums[kTileCols];
  std::fill(totals, totals + cols, Total(0));
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    std::fill(sums, sums + cols, Block(0));
    for (int64_t r = first; r < std::min(first + kBlockRows, rows); ++r) {
      kernels.accumulate[dtype](sums, offset_bytes(in, r * stride * element_size(dtype)), cols);
    }
    for (int64_t i = 0; i < cols; ++i) totals[i] = add(totals[i], static_cast<Total>(sums[i]));
  }
}

template <typename Total, typename Block>
void sum(void* out, const void* in, const Shape& shape, double scale, int threads) {
  const VectorKernels& kernels = vector_kernels();
  const int64_t chunks = shape.chunks();
  const int64_t tiles = shape.tiles();
  const int64_t size = element_size(shape.dtype);
  constexpr bool is_float = std::is_same_v<Total, double>;
  const int64_t out_size = is_float ? size : 8;
  const auto finish = [&](int64_t first, Total* totals, int64_t count) {
    if constexpr (is_float) {
      for (int64_t i = 0; i < count; ++i) totals[i] *= scale;
      kernels.cast[shape.dtype][MAGI_FLOAT64](offset_bytes(out, first * out_size), totals, count);
    } else {
      std::memcpy(offset_bytes(out, first * out_size), totals, static_cast<size_t>(count) * sizeof(Total));
    }
  };
  Scratch<Total> partials;
  if (chunks > 1) partials.reserve(checked_product({shape.outer, chunks, shape.inner}, "partial sums"));

  const int64_t work = std::min(shape.reduced, shape.chunk_rows()) * std::min(shape.inner, kTileCols);
  const int64_t grain = std::max<int64_t>(kElementGrain / std::max<int64_t>(work, 1), 1);
  parallel_for(threads, shape.outer * chunks * tiles, grain, [&](int64_t begin, int64_t end) {
    Total totals[kTileCols];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t tile = unit % tiles;
      const int64_t chunk = unit / tiles % chunks;
      const int64_t outer = unit / tiles / chunks;
      const int64_t col = tile * kTileCols;
      const int64_t cols = std::min(kTileCols, shape.inner - col);
      const int64_t row = chunk * shape.chunk_rows();
      const int64_t rows = std::min(shape.chunk_rows(), shape.reduced - row);
      const void* data = offset_bytes(in, ((outer * shape.reduced + row) * shape.inner + col) * size);
      if (shape.inner == 1) totals[0] = sum_run<Total>(kernels, data, rows, shape.dtype);
      else sum_columns<Total, Block>(kernels, totals, data, rows, shape.inner, cols, shape.dtype);
      if (chunks == 1) finish(outer * shape.inner + col, totals, cols);
      else std::copy(totals, totals + cols, partials.data() + (outer * chunks + chunk) * shape.inner + col);
    }
  });
  if (chunks == 1) return;
  parallel_for(threads, shape.outer * tiles, std::max<int64_t>(kElementGrain / (chunks * kTileCols), 1),
               [&](int64_t begin, int64_t end) {
    Total totals[kTileCols];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t col = unit % tiles * kTileCols;
      const int64_t cols = std::min(kTileCols, shape.inner - col);
      const Total* first = partials.data() + unit / tiles * chunks * shape.inner + col;
      for (int64_t i = 0; i < cols; ++i) {
        totals[i] = pairwise<Total>(0, chunks, [&](int64_t chunk) { return first[chunk * shape.inner + i]; });
      }
      finish(unit / tiles * shape.inner + col, totals, cols);
    }
  });
}

}  // namespace
}  // namespace magi

int32_t magi_tensor_sum(void* out, const void* in, int32_t dtype, int64_t outer, int64_t reduced, int64_t inner,
                        double scale, int32_t num_threads, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(outer, "outer");
    check_extent(reduced, "reduced");
    check_extent(inner, "inner");
    check(!is_integer(dtype) || scale == 1.0, "scale: expected 1 for an integer dtype, got %g", scale);
    const int threads = resolve_num_threads(num_threads);
    const int64_t out_count = checked_product({outer, inner}, "out");
    check_pointer(in, checked_product({outer, reduced, inner}, "in"), "in");
    check_pointer(out, out_count, "out");
    if (out_count == 0) return;
    const Shape shape{outer, reduced, inner, dtype};
    if (is_integer(dtype)) sum<int64_t, int64_t>(out, in, shape, scale, threads);
    else if (dtype == MAGI_FLOAT64) sum<double, double>(out, in, shape, scale, threads);
    else sum<double, float>(out, in, shape, scale, threads);
  });
}
