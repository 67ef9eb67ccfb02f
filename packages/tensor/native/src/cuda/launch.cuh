// How kernels are launched, and how elements are visited.
#ifndef MAGI_TENSOR_LAUNCH_CUH
#define MAGI_TENSOR_LAUNCH_CUH

#include "../element.hpp"
#include "../internal.hpp"
#include "cuda_call.hpp"

#include <magi/tensor_cuda.h>

namespace magi {

constexpr int kThreads = 256;
constexpr int kPack = 4;  // elements that one thread handles in an elementwise kernel

inline __device__ int64_t thread_index() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

// One thread for each item.
template <typename Kernel, typename... Arguments>
void launch(cudaStream_t stream, const char* what, int64_t items, Kernel kernel, Arguments... arguments) {
  if (items == 0) return;
  const int64_t blocks = (items - 1) / kThreads + 1;
  if (blocks > INT32_MAX) {
    fail(MAGI_UNSUPPORTED, "%s: %lld items are too many for one launch", what, static_cast<long long>(items));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  check_cuda(cudaLaunchKernelEx(&config, kernel, arguments...), what);
}

// Consecutive elements that are loaded and stored at once, 16 bytes or less at a time.
template <typename T>
struct alignas(kPack * sizeof(T) < 16 ? kPack * sizeof(T) : 16) Pack {
  T elements[kPack];
};

template <typename T>
bool is_packable(const T* data) {
  return reinterpret_cast<uintptr_t>(data) % alignof(Pack<T>) == 0;
}

template <typename Out, typename In, typename Function>
__global__ void map_kernel(Out* out, const In* in, int64_t count, bool packed, Function function) {
  const int64_t first = thread_index() * kPack;
  if (packed && first + kPack <= count) {
    const Pack<In> values = *reinterpret_cast<const Pack<In>*>(in + first);
    Pack<Out> results;
#pragma unroll
    for (int i = 0; i < kPack; ++i) results.elements[i] = function(values.elements[i]);
    *reinterpret_cast<Pack<Out>*>(out + first) = results;
  } else {
    for (int64_t i = first; i < first + kPack && i < count; ++i) out[i] = function(in[i]);
  }
}

// out[i] = function(in[i]). `out` may be `in`.
template <typename Out, typename In, typename Function>
void map(cudaStream_t stream, const char* what, Out* out, const In* in, int64_t count, Function function) {
  const int64_t items = (count + kPack - 1) / kPack;
  launch(stream, what, items, map_kernel<Out, In, Function>, out, in, count, is_packable(out) && is_packable(in), function);
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

// Likewise, for float dtypes.
template <typename Visit>
void visit_float_dtype(int32_t dtype, Visit&& visit) {
  switch (dtype) {
    case MAGI_FLOAT32: return visit(float{});
    case MAGI_BFLOAT16: return visit(BFloat16{});
    case MAGI_FLOAT16: return visit(Float16{});
    default: return visit(double{});
  }
}

}  // namespace magi

#endif
