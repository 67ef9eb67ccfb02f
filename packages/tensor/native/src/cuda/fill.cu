#include "launch.cuh"

#include <cmath>

namespace magi {
namespace {

// A whole number that an integer dtype holds.
template <typename Int>
int64_t whole_number(double value, const char* name) {
  constexpr double limit = sizeof(Int) == 4 ? 0x1p31 : 0x1p63;
  check(value == std::floor(value) && value >= -limit && value < limit,
        "%s: expected a whole number that fits %s, got %g", name, sizeof(Int) == 4 ? "int32" : "int64", value);
  return static_cast<int64_t>(value);
}

template <typename T>
__global__ void fill_kernel(T* out, int64_t count, bool packed, T value) {
  const int64_t first = thread_index() * kPack;
  if (packed && first + kPack <= count) {
    Pack<T> values;
#pragma unroll
    for (int i = 0; i < kPack; ++i) values.elements[i] = value;
    *reinterpret_cast<Pack<T>*>(out + first) = values;
  } else {
    for (int64_t i = first; i < first + kPack && i < count; ++i) out[i] = value;
  }
}

// Number is double, or int64_t for integer dtypes.
template <typename T, typename Number>
__global__ void arange_kernel(T* out, int64_t count, Number start, Number step) {
  const int64_t i = thread_index();
  if (i >= count) return;
  if constexpr (std::is_integral_v<T>) out[i] = static_cast<T>(start + i * step);
  else out[i] = convert<T>(start + static_cast<double>(i) * step);
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_fill(void* out, int64_t count, int32_t dtype, double value, int32_t device, void* stream, char* message,
                       int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    use_device(device);
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      T* const data = static_cast<T*>(out);
      T element;
      if constexpr (std::is_integral_v<T>) element = static_cast<T>(whole_number<T>(value, "value"));
      else element = convert<T>(value);
      launch(as_stream(stream), "fill", (count + kPack - 1) / kPack, fill_kernel<T>, data, count, is_packable(data), element);
    });
  });
}

int32_t magi_cuda_arange(void* out, int64_t count, int32_t dtype, double start, double step, int32_t device, void* stream,
                         char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    if (count == 0) return;
    use_device(device);
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      T* const data = static_cast<T*>(out);
      if constexpr (std::is_integral_v<T>) {
        const int64_t first = whole_number<T>(start, "start");
        const int64_t stride = whole_number<int64_t>(step, "step");
        whole_number<T>(start + step * static_cast<double>(count - 1), "start, step");
        launch(as_stream(stream), "arange", count, arange_kernel<T, int64_t>, data, count, first, stride);
      } else {
        launch(as_stream(stream), "arange", count, arange_kernel<T, double>, data, count, start, step);
      }
    });
  });
}
