#include "internal.hpp"

#include <magi/tensor.h>

#include <cstring>

namespace magi {
namespace {

constexpr int64_t kCopyGrain = 1 << 18;  // bytes

// Rows of one element: a fixed size lets the compiler use single loads and stores.
template <int64_t size>
void copy_elements(char* out, int64_t out_stride, const char* in, int64_t in_stride, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(out + r * out_stride, in + r * in_stride, size);
}

void copy_block(char* out, int64_t out_stride, const char* in, int64_t in_stride, int64_t rows, int64_t bytes) {
  switch (bytes) {
    case 2: return copy_elements<2>(out, out_stride, in, in_stride, rows);
    case 4: return copy_elements<4>(out, out_stride, in, in_stride, rows);
    case 8: return copy_elements<8>(out, out_stride, in, in_stride, rows);
    default:
      for (int64_t r = 0; r < rows; ++r) {
        std::memcpy(out + r * out_stride, in + r * in_stride, static_cast<size_t>(bytes));
      }
  }
}

}  // namespace
}  // namespace magi

int32_t magi_tensor_copy_rows(void* out, int64_t out_stride, const void* in, int64_t in_stride, int64_t rows,
                              int64_t row_elements, int32_t element_size, int32_t num_threads, char* message,
                              int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_element_size(element_size);
    check_extent(rows, "rows");
    check_extent(row_elements, "row_elements");
    check_extent(in_stride, "in_stride");
    check_extent(out_stride, "out_stride");
    const int threads = resolve_num_threads(num_threads);
    const int64_t count = checked_product({rows, row_elements}, "rows, row_elements");
    check_pointer(out, count, "out");
    check_pointer(in, count, "in");
    if (count == 0) return;
    check(rows == 1 || out_stride >= row_elements, "out_stride: expected at least row_elements (%lld), got %lld",
          static_cast<long long>(row_elements), static_cast<long long>(out_stride));
    checked_product({rows, out_stride}, "out_stride");
    checked_product({rows, in_stride}, "in_stride");
    const int64_t row_bytes = row_elements * element_size;
    const bool contiguous = rows == 1 || (out_stride == row_elements && in_stride == row_elements);
    if (contiguous || row_bytes >= 2 * kCopyGrain) {
      // Long rows are cut into pieces.
      const int64_t line = contiguous ? rows * row_bytes : row_bytes;
      const int64_t lines = contiguous ? 1 : rows;
      const int64_t pieces = (line - 1) / kCopyGrain + 1;
      parallel_for(threads, lines * pieces, 1, [&](int64_t unit, int64_t) {
        const int64_t first = unit % pieces * kCopyGrain;
        std::memcpy(offset_bytes(out, unit / pieces * out_stride * element_size + first),
                    offset_bytes(in, unit / pieces * in_stride * element_size + first),
                    static_cast<size_t>(std::min(kCopyGrain, line - first)));
      });
      return;
    }
    parallel_for(threads, rows, std::max<int64_t>(kCopyGrain / row_bytes, 1), [&](int64_t begin, int64_t end) {
      copy_block(offset_bytes(out, begin * out_stride * element_size), out_stride * element_size,
                 offset_bytes(in, begin * in_stride * element_size), in_stride * element_size, end - begin, row_bytes);
    });
  });
}
