// Each output row has one owner, which adds its input rows in ascending order: a stable sort of the index finds them.
#include "launch.cuh"

#include <cub/device/device_radix_sort.cuh>

namespace magi {
namespace {

__global__ void make_pairs_kernel(uint32_t* keys, int32_t* rows, const int64_t* index, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  keys[i] = static_cast<uint32_t>(index[i]);
  rows[i] = static_cast<int32_t>(i);
}

// begins[r] is the first position whose key is r or more.
__global__ void find_begins_kernel(int32_t* begins, const uint32_t* keys, int32_t count, int64_t num_rows) {
  const int64_t row = thread_index();
  if (row > num_rows) return;
  int32_t low = 0;
  int32_t high = count;
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    if (static_cast<int64_t>(keys[middle]) < row) low = middle + 1;
    else high = middle;
  }
  begins[row] = low;
}

// `width` neighbours of T that are loaded and stored at once.
template <typename T, int width>
using Elements = std::conditional_t<width == kPack, Pack<T>, T>;

// A thread owns `width` neighbours of an output row; `inner` counts such groups.
template <int width, typename T>
__global__ void add_rows_kernel(T* out, const T* in, const int32_t* begins, const int32_t* rows, int64_t outer, int64_t out_rows,
                                int64_t in_rows, int64_t inner) {
  const int64_t i = thread_index();
  if (i >= outer * out_rows * inner) return;
  const int64_t row = i / inner % out_rows;
  const auto* data = reinterpret_cast<const Elements<T, width>*>(in) + i / inner / out_rows * in_rows * inner + i % inner;
  const int32_t end = begins[row + 1];
  Compute<T> sums[width] = {};
#pragma unroll 4
  for (int32_t at = begins[row]; at < end; ++at) {
    const Elements<T, width> group = data[rows[at] * inner];
#pragma unroll
    for (int e = 0; e < width; ++e) sums[e] += load(reinterpret_cast<const T*>(&group)[e]);
  }
  Elements<T, width> result;
#pragma unroll
  for (int e = 0; e < width; ++e) reinterpret_cast<T*>(&result)[e] = convert<T>(sums[e]);
  reinterpret_cast<Elements<T, width>*>(out)[i] = result;
}

template <typename T>
void add_rows(cudaStream_t stream, T* out, const T* in, const int32_t* begins, const int32_t* rows, int64_t outer,
              int64_t out_rows, int64_t in_rows, int64_t inner) {
  const int64_t count = outer * out_rows * inner;
  if (inner % kPack == 0 && is_packable(out) && is_packable(in)) {
    launch(stream, "index_add", count / kPack, add_rows_kernel<kPack, T>, out, in, begins, rows, outer, out_rows, in_rows,
           inner / kPack);
  } else {
    launch(stream, "index_add", count, add_rows_kernel<1, T>, out, in, begins, rows, outer, out_rows, in_rows, inner);
  }
}

int num_bits(int64_t value) {
  int bits = 1;
  while (value >> bits != 0) ++bits;
  return bits;
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_index_add(void* out, const void* in, const int64_t* index, int32_t dtype, int64_t outer, int64_t out_rows,
                            int64_t in_rows, int64_t inner, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_float_dtype(dtype);
    check_extent(outer, "outer");
    check_extent(out_rows, "out_rows");
    check_extent(in_rows, "in_rows");
    check_extent(inner, "inner");
    check(out_rows < INT32_MAX && in_rows < INT32_MAX, "out_rows, in_rows: expected less than 2^31 - 1, got %lld and %lld",
          static_cast<long long>(out_rows), static_cast<long long>(in_rows));
    const int64_t count = checked_product({outer, out_rows, inner}, "out");
    check_pointer(out, count, "out");
    check_pointer(in, checked_product({outer, in_rows, inner}, "in"), "in");
    check_pointer(index, in_rows, "index");
    if (count == 0) return;
    use_device(device);
    const cudaStream_t on = as_stream(stream);
    const size_t size = static_cast<size_t>(in_rows) * sizeof(uint32_t);
    const StreamMemory keys(2 * size, on);
    const StreamMemory rows(2 * size, on);
    const StreamMemory begins(static_cast<size_t>(out_rows + 1) * sizeof(int32_t), on);
    uint32_t* const sorted_keys = keys.as<uint32_t>() + in_rows;
    int32_t* const sorted_rows = rows.as<int32_t>() + in_rows;
    launch(on, "index_add", in_rows, make_pairs_kernel, keys.as<uint32_t>(), rows.as<int32_t>(), index, in_rows);
    if (in_rows > 0) {
      const auto sort = [&](void* memory, size_t& bytes) {
        check_cuda(cub::DeviceRadixSort::SortPairs(memory, bytes, keys.as<uint32_t>(), sorted_keys, rows.as<int32_t>(),
                                                   sorted_rows, static_cast<int32_t>(in_rows), 0, num_bits(out_rows), on),
                   "index_add");
      };
      size_t bytes = 0;
      sort(nullptr, bytes);
      const StreamMemory memory(bytes, on);
      sort(memory.as<void>(), bytes);
    }
    launch(on, "index_add", out_rows + 1, find_begins_kernel, begins.as<int32_t>(), sorted_keys, static_cast<int32_t>(in_rows),
           out_rows);
    visit_float_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      add_rows(on, static_cast<T*>(out), static_cast<const T*>(in), begins.as<int32_t>(), sorted_rows, outer, out_rows,
               in_rows, inner);
    });
  });
}
