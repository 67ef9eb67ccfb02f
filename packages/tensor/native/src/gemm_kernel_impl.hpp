// Packing and register tiles, written over a vector type that each gemm_<isa>.cpp brings:
//
//   struct Vector {
//     using Register, Element (what a panel holds), Result (what c holds);
//     static constexpr int kLanes, kMaxRows, kVectors;   // the register tile: kMaxRows x (kVectors * kLanes)
//     zero(), load(const Element*), broadcast(const Element*), multiply_add(a, b, c),
//     load_result(const Result*), store_result(Result*, Register), add(a, b)
//   };
//
// Everything is in an unnamed namespace: units compiled for different instruction sets must not share functions.
#include "element.hpp"
#include "gemm_kernel.hpp"

#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define MAGI_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define MAGI_UNROLL _Pragma("GCC unroll 16")
#else
#define MAGI_UNROLL
#endif

namespace magi {
namespace {

// How numbers become panel elements: T converted to the type computed with.
template <typename T>
struct Convert {
  using Source = T;
  using Element = Compute<T>;
  static constexpr int64_t kGroup = 1;
  static Element one(const T* in, int64_t, int64_t) {
#if defined(__F16C__)
    if constexpr (std::is_same_v<T, Float16>) return _cvtsh_ss(in->bits);
#endif
    return load(*in);
  }
};

// Two neighbours along k in one word, the first in its low half.
struct PairBFloat16 {
  using Source = BFloat16;
  using Element = uint32_t;
  static constexpr int64_t kGroup = 2;
  static Element one(const BFloat16* in, int64_t left, int64_t depth_stride) {
    const uint32_t second = left > 1 ? in[depth_stride].bits : 0u;
    return in[0].bits | second << 16;
  }
};

template <typename Packing>
void pack(void* panel_data, const void* in_data, int64_t width, int64_t panel_width, int64_t depth,
          int64_t width_stride, int64_t depth_stride) {
  using Element = typename Packing::Element;
  constexpr int64_t kGroup = Packing::kGroup;
  Element* panel = static_cast<Element*>(panel_data);
  const auto* in = static_cast<const typename Packing::Source*>(in_data);
  const int64_t steps = (depth + kGroup - 1) / kGroup;
  const int64_t whole_steps = depth / kGroup;
  if (width < panel_width) std::memset(panel, 0, static_cast<size_t>(steps * panel_width) * sizeof(Element));
  if (width_stride == 1) {
    for (int64_t s = 0; s < steps; ++s) {
      const auto* row = in + s * kGroup * depth_stride;
      const int64_t left = s < whole_steps ? kGroup : 1;
      for (int64_t w = 0; w < width; ++w) panel[s * panel_width + w] = Packing::one(row + w, left, depth_stride);
    }
    return;
  }
  // A transpose, in strips of steps short enough for their part of the panel to stay in the first-level cache.
  constexpr int64_t kStrip = 16;
  for (int64_t first = 0; first < steps; first += kStrip) {
    const int64_t strip = steps - first < kStrip ? steps - first : kStrip;
    Element* out = panel + first * panel_width;
    for (int64_t w = 0; w < width; ++w) {
      const auto* line = in + w * width_stride + first * kGroup;
      if (first + kStrip <= whole_steps) {
        MAGI_UNROLL
        for (int s = 0; s < kStrip; ++s) out[s * panel_width + w] = Packing::one(line + s * kGroup, kGroup, 1);
      } else {
        for (int64_t s = 0; s < strip; ++s) {
          const int64_t left = first + s < whole_steps ? kGroup : 1;
          out[s * panel_width + w] = Packing::one(line + s * kGroup, left, 1);
        }
      }
    }
  }
}

// c [kRows, kVectors * kLanes], the sums held in registers over the whole depth.
template <typename V, int kRows>
void register_tile(typename V::Result* c, int64_t c_stride, const typename V::Element* a, const typename V::Element* b,
                   int64_t depth, bool accumulate) {
  using Register = typename V::Register;
  constexpr int kVectors = V::kVectors;
  Register sums[kRows][kVectors];
  MAGI_UNROLL
  for (int i = 0; i < kRows; ++i) {
    MAGI_UNROLL
    for (int j = 0; j < kVectors; ++j) sums[i][j] = V::zero();
  }
  for (int64_t d = 0; d < depth; ++d) {
    Register columns[kVectors];
    MAGI_UNROLL
    for (int j = 0; j < kVectors; ++j) columns[j] = V::load(b + j * V::kLanes);
    MAGI_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const Register row = V::broadcast(a + i);
      MAGI_UNROLL
      for (int j = 0; j < kVectors; ++j) sums[i][j] = V::multiply_add(row, columns[j], sums[i][j]);
    }
    a += kRows;
    b += kVectors * V::kLanes;
  }
  MAGI_UNROLL
  for (int i = 0; i < kRows; ++i) {
    MAGI_UNROLL
    for (int j = 0; j < kVectors; ++j) {
      typename V::Result* target = c + i * c_stride + j * V::kLanes;
      V::store_result(target, accumulate ? V::add(V::load_result(target), sums[i][j]) : sums[i][j]);
    }
  }
}

template <typename V, int kRows>
void multiply_rows(typename V::Result* c, int64_t c_stride, const typename V::Element* a, const typename V::Element* b,
                   int64_t depth, int64_t rows, int64_t cols, bool accumulate) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiply_rows<V, kRows - 1>(c, c_stride, a, b, depth, rows, cols, accumulate);
  }
  constexpr int kCols = V::kVectors * V::kLanes;
  if (cols == kCols) return register_tile<V, kRows>(c, c_stride, a, b, depth, accumulate);
  typename V::Result tile[kRows * kCols];
  register_tile<V, kRows>(tile, kCols, a, b, depth, false);
  for (int i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      typename V::Result& target = c[i * c_stride + j];
      target = accumulate ? target + tile[i * kCols + j] : tile[i * kCols + j];
    }
  }
}

template <typename V>
void multiply(void* c, int64_t c_stride, const void* a_panel, const void* b_panel, int64_t depth, int64_t rows,
              int64_t cols, bool accumulate) {
  using Element = typename V::Element;
  multiply_rows<V, V::kMaxRows>(static_cast<typename V::Result*>(c), c_stride, static_cast<const Element*>(a_panel),
                                static_cast<const Element*>(b_panel), depth, rows, cols, accumulate);
}

template <typename V, typename Packing>
constexpr GemmKernel make_kernel() {
  static_assert(sizeof(typename V::Element) == sizeof(typename Packing::Element));
  return {V::kMaxRows,
          V::kVectors * V::kLanes,
          Packing::kGroup,
          sizeof(typename V::Element),
          sizeof(typename V::Result),
          pack<Packing>,
          multiply<V>};
}

}  // namespace
}  // namespace magi
