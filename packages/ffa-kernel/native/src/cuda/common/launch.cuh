// How kernels are launched.
#ifndef MAGI_FFA_CUDA_LAUNCH_CUH
#define MAGI_FFA_CUDA_LAUNCH_CUH

#include <atomic>
#include <climits>
#include <cstdint>

#include <cuda_runtime.h>

#include "cuda_check.hpp"

namespace magi::ffa {

struct LaunchShape {
  int64_t blocks;
  int threads;
  cudaStream_t stream;
  int shared_bytes = 0;            // dynamic ones, up to 48 KiB; else launch_large
  bool overlaps_previous = false;  // with the kernel before it; the kernel calls wait_for_previous_kernel()
};

template <typename Params>
void launch(void (*kernel)(Params), const LaunchShape& shape, const Params& params, const char* what) {
  if (shape.blocks == 0) return;
  if (shape.blocks > INT_MAX) fail(MAGI_UNSUPPORTED, "%s: expected fewer than 2^31 tiles times heads", what);
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = static_cast<size_t>(shape.shared_bytes);
  config.stream = shape.stream;
  config.attrs = &overlap;
  config.numAttrs = shape.overlaps_previous ? 1 : 0;
  check_cuda(cudaLaunchKernelEx(&config, kernel, params), what);
}

// A kernel that uses more shared memory than it gets unasked. Each has to be told so once on each device, whose ordinals are below 64.
template <auto kKernel, typename Params>
void launch_large(int32_t device, const LaunchShape& shape, const Params& params, const char* what) {
  static std::atomic<uint64_t> told{0};
  const uint64_t bit = uint64_t{1} << device;
  if ((told.load(std::memory_order_relaxed) & bit) == 0) {
    check_cuda(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shape.shared_bytes), what);
    told.fetch_or(bit, std::memory_order_relaxed);
  }
  launch(kKernel, shape, params, what);
}

}  // namespace magi::ffa

#endif
