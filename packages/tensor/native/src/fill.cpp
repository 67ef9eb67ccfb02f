#include "element.hpp"
#include "internal.hpp"

#include <magi/tensor.h>

#include <cmath>

namespace magi {
namespace {

// A whole number that an int64 holds, and that a float64 names exactly.
int64_t whole_number(double value, const char* name) {
  check(value == std::floor(value) && std::fabs(value) < 0x1p63,
        "%s: expected a whole number for an integer dtype, got %g", name, value);
  return static_cast<int64_t>(value);
}

// Calls visit(T{}) with the C++ type of a dtype.
template <typename Visit>
void visit_dtype(int32_t dtype, Visit&& visit) {
  switch (dtype) {
    case MAGI_FLOAT32: return visit(float{});
    case MAGI_BFLOAT16: return visit(BFloat16{});
    case MAGI_FLOAT16: return visit(Float16{});
    case MAGI_FLOAT64: return visit(double{});
    case MAGI_INT32: return visit(int32_t{});
    default: return visit(int64_t{});
  }
}

// start + i * step as int64; throws where that leaves the range of Int.
template <typename Int>
void check_progression(int64_t start, int64_t step, int64_t count, const char* name) {
  const double last = static_cast<double>(start) + static_cast<double>(step) * static_cast<double>(count - 1);
  constexpr double limit = sizeof(Int) == 4 ? 0x1p31 : 0x1p63;
  const double first = static_cast<double>(start);
  // Close to 2^63 float64 cannot tell in from out: refused as well.
  const bool fits = first >= -limit && first < limit && last >= -limit && last < limit;
  check(fits, "%s: values from %g to %g do not fit %s", name, first, last, sizeof(Int) == 4 ? "int32" : "int64");
}

}  // namespace
}  // namespace magi

int32_t magi_tensor_fill(void* out, int64_t count, int32_t dtype, double value, int32_t num_threads, char* message,
                         int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    const int threads = resolve_num_threads(num_threads);
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      T element;
      if constexpr (std::is_integral_v<T>) {
        const int64_t whole = whole_number(value, "value");
        check_progression<T>(whole, 0, 1, "value");
        element = static_cast<T>(whole);
      } else {
        element = convert<T>(value);
      }
      T* data = static_cast<T*>(out);
      parallel_for(threads, count, kElementGrain, [&](int64_t begin, int64_t end) {
        std::fill(data + begin, data + end, element);
      });
    });
  });
}

int32_t magi_tensor_arange(void* out, int64_t count, int32_t dtype, double start, double step, int32_t num_threads,
                           char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    const int threads = resolve_num_threads(num_threads);
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      T* data = static_cast<T*>(out);
      if constexpr (std::is_integral_v<T>) {
        const int64_t first = whole_number(start, "start");
        const int64_t stride = whole_number(step, "step");
        if (count > 0) check_progression<T>(first, stride, count, "start, step");
        parallel_for(threads, count, kElementGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) data[i] = static_cast<T>(first + i * stride);
        });
      } else {
        parallel_for(threads, count, kElementGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) data[i] = convert<T>(start + static_cast<double>(i) * step);
        });
      }
    });
  });
}
