// What the entry points share: element types, checks of their scalars, how work is cut.
#ifndef MAGI_TENSOR_INTERNAL_HPP
#define MAGI_TENSOR_INTERNAL_HPP

#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

namespace magi {

// Elements that one chunk of an elementwise loop handles: long enough to hide the claim of a chunk, short enough for
// chunks to stay in the second-level cache.
constexpr int64_t kElementGrain = 32768;

inline int64_t element_size(int32_t dtype) {
  constexpr int64_t sizes[] = {4, 2, 2, 8, 4, 8};
  return sizes[dtype];
}

inline bool is_integer(int32_t dtype) { return dtype == MAGI_INT32 || dtype == MAGI_INT64; }

inline void check_dtype(int32_t dtype, const char* name = "dtype") {
  check(dtype >= MAGI_FLOAT32 && dtype <= MAGI_INT64, "%s: expected one of MagiDType (0 to 5), got %d", name, dtype);
}

inline void check_float_dtype(int32_t dtype) {
  check_dtype(dtype);
  check(!is_integer(dtype), "dtype: expected a floating-point type, got %s", dtype == MAGI_INT32 ? "int32" : "int64");
}

inline void check_element_size(int32_t element_size) {
  check(element_size == 2 || element_size == 4 || element_size == 8, "element_size: expected 2, 4 or 8, got %d",
        element_size);
}

inline void check_extent(int64_t value, const char* name) {
  check(value >= 0, "%s: expected a value >= 0, got %lld", name, static_cast<long long>(value));
}

inline void check_pointer(const void* pointer, int64_t count, const char* name) {
  check(pointer != nullptr || count == 0, "%s: expected %lld elements, got NULL", name, static_cast<long long>(count));
}

// The product of extents that are all >= 0. Throws unless it fits an array of elements of up to 8 bytes.
inline int64_t checked_product(std::initializer_list<int64_t> extents, const char* name) {
  constexpr int64_t limit = INT64_MAX / 8;
  int64_t product = 1;
  for (const int64_t extent : extents) {
    if (extent == 0) return 0;
  }
  for (const int64_t extent : extents) {
    check(product <= limit / extent, "%s: the number of elements does not fit 64 bits", name);
    product *= extent;
  }
  return product;
}

// 0 stands for the library's default.
inline int resolve_num_threads(int32_t num_threads) {
  check(num_threads >= 0, "num_threads: expected a value >= 0, got %d", num_threads);
  return num_threads == 0 ? default_num_threads() : static_cast<int>(std::min<int32_t>(num_threads, kMaxThreads));
}

inline char* offset_bytes(void* base, int64_t bytes) { return static_cast<char*>(base) + bytes; }
inline const char* offset_bytes(const void* base, int64_t bytes) { return static_cast<const char*>(base) + bytes; }

}  // namespace magi

#endif
