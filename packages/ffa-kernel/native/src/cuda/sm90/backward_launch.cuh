// How the three kernels of backward are started: each may begin while the one before it ends.
#ifndef MAGI_FFA_SM90_BACKWARD_LAUNCH_CUH
#define MAGI_FFA_SM90_BACKWARD_LAUNCH_CUH

#include <cuda_runtime.h>

#include "../common/cuda_check.hpp"

namespace magi::ffa::sm90 {

// Until all that the kernel before this one wrote is visible.
__device__ __forceinline__ void wait_for_previous_kernel() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// The blocks of the next kernel may take the place of blocks that end.
__device__ __forceinline__ void allow_next_kernel() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

struct LaunchShape {
  int32_t blocks;
  int32_t threads;
  size_t shared_bytes;
  cudaStream_t stream;
  bool overlaps_previous;  // the kernel calls wait_for_previous_kernel()
};

template <typename Params>
void launch(void (*kernel)(Params), const LaunchShape& shape, const Params& params, const char* what) {
  if (shape.shared_bytes > 48 * 1024) {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
               what);
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  config.attrs = &attribute;
  config.numAttrs = shape.overlaps_previous ? 1 : 0;
  check_cuda(cudaLaunchKernelEx(&config, kernel, params), what);
}

}  // namespace magi::ffa::sm90

#endif
