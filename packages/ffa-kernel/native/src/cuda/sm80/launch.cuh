// Launches a kernel with much shared memory.
#ifndef MAGI_FFA_SM80_LAUNCH_CUH
#define MAGI_FFA_SM80_LAUNCH_CUH

#include <atomic>
#include <climits>
#include <cstdint>

#include "../common/cuda_check.hpp"

namespace magi::ffa::sm80 {

// `call` has the device and the stream, `argument` is what the kernel takes.
template <auto kKernel, typename Call, typename Argument>
void launch_kernel(int64_t blocks, int threads, int shared_bytes, const Call& call, const Argument& argument) {
  if (blocks == 0) return;
  if (blocks > INT_MAX) fail(MAGI_UNSUPPORTED, "plan: tiles times heads must stay below 2^31");
  // A kernel has to be told once on each device that it may use more than 48 KiB.
  static std::atomic<uint64_t> devices{0};
  const uint64_t device = uint64_t{1} << call.device;
  if ((devices.load(std::memory_order_relaxed) & device) == 0) {
    check_cuda(cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes), "attention kernel");
    devices.fetch_or(device, std::memory_order_relaxed);
  }
  kKernel<<<static_cast<unsigned>(blocks), threads, shared_bytes, call.stream>>>(argument);
  check_cuda(cudaGetLastError(), "attention kernel");
}

}  // namespace magi::ffa::sm80

#endif
