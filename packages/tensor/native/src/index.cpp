#include "internal.hpp"
#include "vector_kernels.hpp"

#include <magi/scratch.hpp>
#include <magi/tensor.h>

#include <cstring>

namespace magi {
namespace {

constexpr int64_t kCopyGrain = 1 << 18;  // bytes
constexpr int64_t kTileCols = 1024;

void check_index(const int64_t* index, int64_t count, int64_t limit) {
  check_pointer(index, count, "index");
  for (int64_t i = 0; i < count; ++i) {
    check(index[i] >= 0 && index[i] < limit, "index[%lld]: expected 0 <= index < %lld, got %lld",
          static_cast<long long>(i), static_cast<long long>(limit), static_cast<long long>(index[i]));
  }
}

// For each output row the input rows that add to it, ascending: rows[begins[r]] .. rows[begins[r + 1]].
struct RowLists {
  Scratch<int64_t> begins;
  Scratch<int64_t> rows;

  RowLists(const int64_t* index, int64_t count, int64_t num_lists) : begins(num_lists + 2), rows(count) {
    std::fill(begins.data(), begins.data() + num_lists + 2, int64_t{0});
    for (int64_t i = 0; i < count; ++i) ++begins[index[i] + 2];
    for (int64_t r = 0; r < num_lists; ++r) begins[r + 2] += begins[r + 1];
    for (int64_t i = 0; i < count; ++i) rows[begins[index[i] + 1]++] = i;
  }
};

template <typename Sum>
void index_add(char* out, const char* in, const RowLists& lists, int32_t dtype, int64_t outer, int64_t out_rows,
               int64_t in_rows, int64_t inner, int threads) {
  const VectorKernels& kernels = vector_kernels();
  const int32_t sum_dtype = std::is_same_v<Sum, double> ? MAGI_FLOAT64 : MAGI_FLOAT32;
  const int64_t size = element_size(dtype);
  const int64_t tiles = (inner - 1) / kTileCols + 1;
  const int64_t grain = std::max<int64_t>(kElementGrain / std::min(inner, kTileCols), 1);
  parallel_for(threads, outer * out_rows * tiles, grain, [&](int64_t begin, int64_t end) {
    Sum sums[kTileCols];
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t col = unit % tiles * kTileCols;
      const int64_t row = unit / tiles % out_rows;
      const int64_t o = unit / tiles / out_rows;
      const int64_t cols = std::min(kTileCols, inner - col);
      std::fill(sums, sums + cols, Sum(0));
      for (int64_t i = lists.begins[row]; i < lists.begins[row + 1]; ++i) {
        kernels.accumulate[dtype](sums, in + ((o * in_rows + lists.rows[i]) * inner + col) * size, cols);
      }
      kernels.cast[dtype][sum_dtype](out + ((o * out_rows + row) * inner + col) * size, sums, cols);
    }
  });
}

}  // namespace
}  // namespace magi

int32_t magi_tensor_index_select(void* out, const void* in, const int64_t* index, int64_t outer, int64_t in_rows,
                                 int64_t out_rows, int64_t inner, int32_t element_size, int32_t num_threads,
                                 char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_element_size(element_size);
    check_extent(outer, "outer");
    check_extent(in_rows, "in_rows");
    check_extent(out_rows, "out_rows");
    check_extent(inner, "inner");
    const int threads = resolve_num_threads(num_threads);
    const int64_t count = checked_product({outer, out_rows, inner}, "out");
    check_pointer(out, count, "out");
    check_pointer(in, std::min(checked_product({outer, in_rows, inner}, "in"), count), "in");
    check_index(index, out_rows, in_rows);
    if (count == 0) return;
    const int64_t bytes = inner * element_size;
    parallel_for(threads, outer * out_rows, std::max<int64_t>(kCopyGrain / bytes, 1), [&](int64_t begin, int64_t end) {
      int64_t o = begin / out_rows;
      int64_t row = begin % out_rows;
      for (int64_t unit = begin; unit < end; ++unit) {
        std::memcpy(offset_bytes(out, unit * bytes), offset_bytes(in, (o * in_rows + index[row]) * bytes),
                    static_cast<size_t>(bytes));
        if (++row == out_rows) {
          row = 0;
          ++o;
        }
      }
    });
  });
}

int32_t magi_tensor_index_add(void* out, const void* in, const int64_t* index, int32_t dtype, int64_t outer,
                              int64_t out_rows, int64_t in_rows, int64_t inner, int32_t num_threads, char* message,
                              int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_float_dtype(dtype);
    check_extent(outer, "outer");
    check_extent(out_rows, "out_rows");
    check_extent(in_rows, "in_rows");
    check_extent(inner, "inner");
    const int threads = resolve_num_threads(num_threads);
    const int64_t count = checked_product({outer, out_rows, inner}, "out");
    check_pointer(out, count, "out");
    check_pointer(in, checked_product({outer, in_rows, inner}, "in"), "in");
    check_index(index, in_rows, out_rows);
    if (count == 0) return;
    const RowLists lists(index, in_rows, out_rows);
    char* to = static_cast<char*>(out);
    const char* from = static_cast<const char*>(in);
    if (dtype == MAGI_FLOAT64) index_add<double>(to, from, lists, dtype, outer, out_rows, in_rows, inner, threads);
    else index_add<float>(to, from, lists, dtype, outer, out_rows, in_rows, inner, threads);
  });
}
