// Copies of rows: blocks with strides, and rows that an index names.
#include "launch.cuh"

#include <algorithm>

namespace magi {
namespace {

// The widest unit that divides all of the given sizes and addresses, in bytes.
int64_t common_unit(std::initializer_list<int64_t> bytes) {
  int64_t bits = 16;
  for (const int64_t value : bytes) bits |= value;
  return bits & -bits;
}

int64_t address(const void* pointer) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(pointer)); }

// Calls visit with a type of `unit` bytes.
template <typename Visit>
void visit_unit(int64_t unit, Visit&& visit) {
  switch (unit) {
    case 16: return visit(uint4{});
    case 8: return visit(uint64_t{});
    case 4: return visit(uint32_t{});
    default: return visit(uint16_t{});
  }
}

// Strides and lengths count units.
template <typename Unit>
__global__ void copy_rows_kernel(Unit* out, int64_t out_stride, const Unit* in, int64_t in_stride, int64_t rows, int64_t length) {
  const int64_t i = thread_index();
  if (i >= rows * length) return;
  const int64_t row = i / length;
  const int64_t column = i % length;
  out[row * out_stride + column] = in[row * in_stride + column];
}

template <typename Unit>
__global__ void index_select_kernel(Unit* out, const Unit* in, const int64_t* index, int64_t outer, int64_t in_rows,
                                    int64_t out_rows, int64_t length) {
  const int64_t i = thread_index();
  if (i >= outer * out_rows * length) return;
  const int64_t row = i / length;
  const int64_t from = row / out_rows * in_rows + index[row % out_rows];
  out[i] = in[from * length + i % length];
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_copy_rows(void* out, int64_t out_stride, const void* in, int64_t in_stride, int64_t rows, int64_t row_elements,
                            int32_t element_size, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_element_size(element_size);
    check_extent(rows, "rows");
    check_extent(row_elements, "row_elements");
    check_extent(in_stride, "in_stride");
    check_extent(out_stride, "out_stride");
    const int64_t count = checked_product({rows, row_elements}, "rows, row_elements");
    check_pointer(out, count, "out");
    check_pointer(in, count, "in");
    if (count == 0) return;
    check(rows == 1 || out_stride >= row_elements, "out_stride: expected at least row_elements (%lld), got %lld",
          static_cast<long long>(row_elements), static_cast<long long>(out_stride));
    checked_product({rows, out_stride}, "out_stride");
    checked_product({rows, in_stride}, "in_stride");
    use_device(device);
    const int64_t row_bytes = row_elements * element_size;
    if (rows == 1 || (out_stride == row_elements && in_stride == row_elements)) {
      const size_t bytes = static_cast<size_t>(rows * row_bytes);
      check_cuda(cudaMemcpyAsync(out, in, bytes, cudaMemcpyDeviceToDevice, as_stream(stream)), "copy_rows");
      return;
    }
    const int64_t out_bytes = out_stride * element_size;
    const int64_t in_bytes = in_stride * element_size;
    const int64_t unit = common_unit({row_bytes, out_bytes, in_bytes, address(out), address(in)});
    visit_unit(unit, [&](auto tag) {
      using Unit = decltype(tag);
      const int64_t length = row_bytes / unit;
      launch(as_stream(stream), "copy_rows", rows * length, copy_rows_kernel<Unit>, static_cast<Unit*>(out), out_bytes / unit,
             static_cast<const Unit*>(in), in_bytes / unit, rows, length);
    });
  });
}

int32_t magi_cuda_index_select(void* out, const void* in, const int64_t* index, int64_t outer, int64_t in_rows, int64_t out_rows,
                               int64_t inner, int32_t element_size, int32_t device, void* stream, char* message,
                               int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_element_size(element_size);
    check_extent(outer, "outer");
    check_extent(in_rows, "in_rows");
    check_extent(out_rows, "out_rows");
    check_extent(inner, "inner");
    const int64_t count = checked_product({outer, out_rows, inner}, "out");
    check_pointer(out, count, "out");
    check_pointer(in, std::min(checked_product({outer, in_rows, inner}, "in"), count), "in");
    check_pointer(index, out_rows, "index");
    if (count == 0) return;
    use_device(device);
    const int64_t row_bytes = inner * element_size;
    const int64_t unit = common_unit({row_bytes, address(out), address(in)});
    visit_unit(unit, [&](auto tag) {
      using Unit = decltype(tag);
      const int64_t length = row_bytes / unit;
      launch(as_stream(stream), "index_select", outer * out_rows * length, index_select_kernel<Unit>, static_cast<Unit*>(out),
             static_cast<const Unit*>(in), index, outer, in_rows, out_rows, length);
    });
  });
}
