// Counter-based random numbers: see philox.hpp for the exact definition.
#include "element.hpp"
#include "internal.hpp"
#include "vector_kernels.hpp"

#include <magi/tensor.h>

#include <cmath>

namespace magi {
namespace {

constexpr int64_t kPiece = 1024;  // elements made at a time, on the stack

void check_stream(void* out, int64_t count, int32_t dtype, uint64_t offset) {
  check_float_dtype(dtype);
  check_extent(count, "count");
  checked_product({count}, "count");
  check_pointer(out, count, "out");
  check(static_cast<uint64_t>(count) <= UINT64_MAX - offset, "offset: offset + count exceeds 64 bits");
}

// Calls store(first element, values, count) over [begin, end) of the output, piece by piece. generate(buffer, block,
// num_blocks) makes the four numbers of each block; pieces begin and end anywhere in a block.
template <typename Number, typename Generate, typename Store>
void for_each_piece(int64_t begin, int64_t end, uint64_t offset, Generate&& generate, Store&& store) {
  alignas(64) Number buffer[kPiece + 8];
  for (int64_t i = begin; i < end; i += kPiece) {
    const int64_t size = std::min(kPiece, end - i);
    const uint64_t element = offset + static_cast<uint64_t>(i);
    const int64_t skip = static_cast<int64_t>(element % 4);
    generate(buffer, element / 4, (skip + size + 3) / 4);
    store(i, buffer + skip, size);
  }
}

// The least and greatest element of type T in [low, high), as numbers.
struct Bounds {
  double least;
  double greatest;
};

template <typename T>
Bounds representable(double low, double high) {
  const auto number = [](T value) { return static_cast<double>(load(value)); };
  // The neighbours of a rounded bound: one step on the line of all values of T.
  const auto step = [](T value, int direction) {
    if constexpr (kIsHalf<T>) {
      int32_t line = (value.bits & 0x8000) != 0 ? -static_cast<int32_t>(value.bits & 0x7fff) : value.bits;
      line += direction;
      return T{static_cast<uint16_t>(line < 0 ? 0x8000 | -line : line)};
    } else {
      return std::nextafter(value, direction > 0 ? static_cast<T>(INFINITY) : -static_cast<T>(INFINITY));
    }
  };
  T least = convert<T>(low);
  if (number(least) < low) least = step(least, 1);
  T greatest = convert<T>(high);
  if (number(greatest) >= high) greatest = step(greatest, -1);
  return {number(least), number(greatest)};
}

Bounds representable(int32_t dtype, double low, double high) {
  switch (dtype) {
    case MAGI_FLOAT32: return representable<float>(low, high);
    case MAGI_BFLOAT16: return representable<BFloat16>(low, high);
    case MAGI_FLOAT16: return representable<Float16>(low, high);
    default: return representable<double>(low, high);
  }
}

}  // namespace
}  // namespace magi

int32_t magi_tensor_randn(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, int32_t num_threads,
                          char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_stream(out, count, dtype, offset);
    const VectorKernels& kernels = vector_kernels();
    const auto generate = [&](float* buffer, uint64_t block, int64_t num_blocks) {
      kernels.normals(buffer, seed, block, num_blocks);
    };
    const auto store = [&](int64_t first, const float* values, int64_t size) {
      kernels.cast[dtype][MAGI_FLOAT32](offset_bytes(out, first * element_size(dtype)), values, size);
    };
    parallel_for(resolve_num_threads(num_threads), count, kElementGrain, [&](int64_t begin, int64_t end) {
      for_each_piece<float>(begin, end, offset, generate, store);
    });
  });
}

int32_t magi_tensor_rand_uniform(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, double low,
                                 double high, int32_t num_threads, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_stream(out, count, dtype, offset);
    const double width = high - low;
    check(low < high && std::isfinite(low) && std::isfinite(high) && std::isfinite(width),
          "low, high: expected finite bounds with low < high, got %g and %g", low, high);
    const Bounds bounds = representable(dtype, low, high);
    check(bounds.least <= bounds.greatest && std::isfinite(bounds.least) && std::isfinite(bounds.greatest),
          "low, high: no value of the dtype lies in [%g, %g)", low, high);
    const VectorKernels& kernels = vector_kernels();
    const auto generate = [&](double* buffer, uint64_t block, int64_t num_blocks) {
      kernels.uniforms(buffer, seed, block, num_blocks, low, width);
    };
    // Clamping before the rounding is enough: the bounds are values of the dtype, and rounding keeps order.
    const auto store = [&](int64_t first, double* values, int64_t size) {
      for (int64_t i = 0; i < size; ++i) values[i] = std::min(std::max(values[i], bounds.least), bounds.greatest);
      kernels.cast[dtype][MAGI_FLOAT64](offset_bytes(out, first * element_size(dtype)), values, size);
    };
    parallel_for(resolve_num_threads(num_threads), count, kElementGrain, [&](int64_t begin, int64_t end) {
      for_each_piece<double>(begin, end, offset, generate, store);
    });
  });
}
