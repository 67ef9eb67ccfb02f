// The numbers of random.cpp, bit for bit: see philox.hpp. One thread makes the four numbers of a block.
#include "../philox.hpp"
#include "launch.cuh"

#include <cmath>

namespace magi {
namespace {

void check_random(void* out, int64_t count, int32_t dtype, uint64_t offset) {
  check_float_dtype(dtype);
  check_extent(count, "count");
  checked_product({count}, "count");
  check_pointer(out, count, "out");
  check(static_cast<uint64_t>(count) <= UINT64_MAX - offset, "offset: offset + count exceeds 64 bits");
}

// Blocks that elements offset .. offset + count touch.
int64_t num_blocks(int64_t count, uint64_t offset) {
  return count == 0 ? 0 : static_cast<int64_t>((offset % 4 + static_cast<uint64_t>(count) + 3) / 4);
}

// Stores the numbers of the thread's block that lie inside of the output.
template <typename T>
__device__ void store_block(T* out, int64_t count, uint64_t offset, const Pack<T>& numbers) {
  static_assert(kPack == 4, "a block has four numbers");
  const int64_t first = thread_index() * 4 - static_cast<int64_t>(offset % 4);
  if (first >= 0 && first + 4 <= count && reinterpret_cast<uintptr_t>(out + first) % alignof(Pack<T>) == 0) {
    *reinterpret_cast<Pack<T>*>(out + first) = numbers;
    return;
  }
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    if (first + w >= 0 && first + w < count) out[first + w] = numbers.elements[w];
  }
}

template <typename T>
__global__ void normal_kernel(T* out, int64_t count, uint64_t seed, uint64_t offset) {
  const PhiloxBlock words = philox4x32_10(seed, offset / 4 + static_cast<uint64_t>(thread_index()));
  float numbers[4];
  box_muller(words.x[0], words.x[1], &numbers[0], &numbers[1]);
  box_muller(words.x[2], words.x[3], &numbers[2], &numbers[3]);
  Pack<T> rounded;
#pragma unroll
  for (int w = 0; w < 4; ++w) rounded.elements[w] = convert<T>(numbers[w]);
  store_block(out, count, offset, rounded);
}

// The values of T next to `value`.
template <typename T>
MAGI_HOST_DEVICE T neighbour(T value, int direction) {
  if constexpr (kIsHalf<T>) {
    int32_t line = (value.bits & 0x8000) != 0 ? -static_cast<int32_t>(value.bits & 0x7fff) : value.bits;
    line += direction;
    return T{static_cast<uint16_t>(line < 0 ? 0x8000 | -line : line)};
  } else if constexpr (std::is_same_v<T, float>) {
    return nextafterf(value, direction > 0 ? INFINITY : -INFINITY);
  } else {
    return nextafter(value, direction > 0 ? static_cast<double>(INFINITY) : -static_cast<double>(INFINITY));
  }
}

// Rounds a number of [low, high) to a value of T in that interval.
template <typename T>
struct Round {
  double low;
  double high;
  MAGI_HOST_DEVICE T operator()(double number) const {
    const T value = convert<T>(number);
    if (static_cast<double>(load(value)) < low) return neighbour(value, 1);
    if (static_cast<double>(load(value)) >= high) return neighbour(value, -1);
    return value;
  }
};

template <typename T>
__global__ void uniform_kernel(T* out, int64_t count, uint64_t seed, uint64_t offset, double width, Round<T> round) {
  const PhiloxBlock words = philox4x32_10(seed, offset / 4 + static_cast<uint64_t>(thread_index()));
  Pack<T> numbers;
#pragma unroll
  for (int w = 0; w < 4; ++w) numbers.elements[w] = round(round.low + width * (static_cast<double>(words.x[w]) * 0x1p-32));
  store_block(out, count, offset, numbers);
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_randn(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, int32_t device, void* stream,
                        char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_random(out, count, dtype, offset);
    use_device(device);
    visit_float_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      launch(as_stream(stream), "randn", num_blocks(count, offset), normal_kernel<T>, static_cast<T*>(out), count, seed, offset);
    });
  });
}

int32_t magi_cuda_rand_uniform(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, double low, double high,
                               int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_random(out, count, dtype, offset);
    const double width = high - low;
    check(low < high && std::isfinite(low) && std::isfinite(high) && std::isfinite(width),
          "low, high: expected finite bounds with low < high, got %g and %g", low, high);
    use_device(device);
    visit_float_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      const Round<T> round{low, high};
      // Rounded inwards, the bounds still have to hold a value between them.
      const double least = static_cast<double>(load(round(low)));
      check(least >= low && least < high && std::isfinite(least), "low, high: no value of the dtype lies in [%g, %g)", low, high);
      launch(as_stream(stream), "rand_uniform", num_blocks(count, offset), uniform_kernel<T>, static_cast<T*>(out), count, seed,
             offset, width, round);
    });
  });
}
