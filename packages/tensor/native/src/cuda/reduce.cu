// Sums along one dimension, in float64 or int64. The tree is fixed by the shape: each pass sums chunks of the reduced
// dimension, until one chunk is left.
#include "launch.cuh"

#include <memory>
#include <utility>

namespace magi {
namespace {

constexpr int64_t kChunkElements = 4096;  // that a warp sums, where the reduced dimension is the innermost
constexpr int64_t kChunkRows = 128;       // that a thread sums, where it is not
constexpr int kWarp = 32;

inline __device__ double add(double a, double b) { return a + b; }
inline __device__ int64_t add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

template <typename Sum, typename In>
__device__ Sum widen(In value) {
  if constexpr (std::is_integral_v<In>) return static_cast<Sum>(value);
  else return static_cast<Sum>(load(value));
}

template <typename Out, typename Sum>
__device__ Out finish(Sum sum, double scale) {
  if constexpr (std::is_same_v<Sum, double>) return convert<Out>(sum * scale);
  else return sum;
}

struct Chunks {
  int64_t outer;
  int64_t reduced;
  int64_t inner;
  int64_t size;
  MAGI_HOST_DEVICE int64_t count() const { return (reduced - 1) / size + 1; }
};

// in [outer, reduced] to out [outer, chunks], a warp for each chunk.
template <typename Sum, typename Out, typename In>
__global__ void sum_rows_kernel(Out* out, const In* in, Chunks shape, double scale) {
  const int64_t unit = thread_index() / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int64_t chunks = shape.count();
  if (unit >= shape.outer * chunks) return;
  const int64_t begin = unit % chunks * shape.size;
  const int64_t size = min(shape.size, shape.reduced - begin);
  const In* data = in + unit / chunks * shape.reduced + begin;
  // Four sums, so that loads do not wait for additions.
  Sum sums[4] = {};
  for (int64_t i = lane; i < size; i += 4 * kWarp) {
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      if (i + s * kWarp < size) sums[s] = add(sums[s], widen<Sum>(data[i + s * kWarp]));
    }
  }
  Sum sum = add(add(sums[0], sums[1]), add(sums[2], sums[3]));
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    sum = add(sum, static_cast<Sum>(__shfl_down_sync(0xffffffffu, sum, distance)));
  }
  if (lane == 0) out[unit] = finish<Out>(sum, scale);
}

// in [outer, reduced, inner] to out [outer, chunks, inner], a thread for each column of a chunk.
template <typename Sum, typename Out, typename In>
__global__ void sum_columns_kernel(Out* out, const In* in, Chunks shape, double scale) {
  const int64_t unit = thread_index();
  const int64_t chunks = shape.count();
  if (unit >= shape.outer * chunks * shape.inner) return;
  const int64_t column = unit % shape.inner;
  const int64_t chunk = unit / shape.inner % chunks;
  const int64_t begin = chunk * shape.size;
  const int64_t end = min(begin + shape.size, shape.reduced);
  const In* data = in + unit / shape.inner / chunks * shape.reduced * shape.inner + column;
  Sum sum = 0;
#pragma unroll 4
  for (int64_t row = begin; row < end; ++row) sum = add(sum, widen<Sum>(data[row * shape.inner]));
  out[unit] = finish<Out>(sum, scale);
}

template <typename Sum, typename Out, typename In>
void sum_chunks(cudaStream_t stream, Out* out, const In* in, const Chunks& shape, double scale) {
  const int64_t sums = shape.outer * shape.count() * shape.inner;
  if (shape.inner == 1) launch(stream, "sum", sums * kWarp, sum_rows_kernel<Sum, Out, In>, out, in, shape, scale);
  else launch(stream, "sum", sums, sum_columns_kernel<Sum, Out, In>, out, in, shape, scale);
}

template <typename Sum, typename Out, typename In>
void sum(cudaStream_t stream, Out* out, const In* in, Chunks shape, double scale) {
  if (shape.count() == 1) return sum_chunks<Sum>(stream, out, in, shape, scale);
  const auto reserve = [&] {
    const int64_t sums = checked_product({shape.outer, shape.count(), shape.inner}, "partial sums");
    return std::make_unique<StreamMemory>(static_cast<size_t>(sums) * sizeof(Sum), stream);
  };
  std::unique_ptr<StreamMemory> partials = reserve();
  sum_chunks<Sum>(stream, partials->as<Sum>(), in, shape, 1.0);
  for (shape.reduced = shape.count(); shape.count() > 1; shape.reduced = shape.count()) {
    std::unique_ptr<StreamMemory> next = reserve();
    sum_chunks<Sum>(stream, next->as<Sum>(), partials->as<Sum>(), shape, 1.0);
    partials = std::move(next);
  }
  sum_chunks<Sum>(stream, out, partials->as<Sum>(), shape, scale);
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_sum(void* out, const void* in, int32_t dtype, int64_t outer, int64_t reduced, int64_t inner, double scale,
                      int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(outer, "outer");
    check_extent(reduced, "reduced");
    check_extent(inner, "inner");
    check(!is_integer(dtype) || scale == 1.0, "scale: expected 1 for an integer dtype, got %g", scale);
    const int64_t out_count = checked_product({outer, inner}, "out");
    check_pointer(in, checked_product({outer, reduced, inner}, "in"), "in");
    check_pointer(out, out_count, "out");
    if (out_count == 0) return;
    use_device(device);
    if (reduced == 0) {
      const size_t bytes = static_cast<size_t>(out_count * (is_integer(dtype) ? 8 : element_size(dtype)));
      check_cuda(cudaMemsetAsync(out, 0, bytes, as_stream(stream)), "sum");
      return;
    }
    const Chunks shape{outer, reduced, inner, inner == 1 ? kChunkElements : kChunkRows};
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      using Sum = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
      using Out = std::conditional_t<std::is_integral_v<T>, int64_t, T>;
      sum<Sum>(as_stream(stream), static_cast<Out*>(out), static_cast<const T*>(in), shape, scale);
    });
  });
}
