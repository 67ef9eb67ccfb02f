// Kernels that use more shared memory than they get unasked.
#ifndef MAGI_FFA_CUDA_SHARED_MEMORY_HPP
#define MAGI_FFA_CUDA_SHARED_MEMORY_HPP

#include <atomic>
#include <cstdint>

#include "cuda_check.hpp"

namespace magi::ffa {

// A kernel has to be told once on each device that it may use more than 48 KiB. Ordinals are below 64.
template <auto kKernel>
void allow_shared_memory(int32_t device, int bytes) {
  static std::atomic<uint64_t> told{0};
  const uint64_t bit = uint64_t{1} << device;
  if ((told.load(std::memory_order_relaxed) & bit) != 0) return;
  check_cuda(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "attention kernel");
  told.fetch_or(bit, std::memory_order_relaxed);
}

}  // namespace magi::ffa

#endif
