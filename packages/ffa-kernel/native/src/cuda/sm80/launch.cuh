// Launches a kernel with much shared memory.
#ifndef MAGI_FFA_SM80_LAUNCH_CUH
#define MAGI_FFA_SM80_LAUNCH_CUH

#include <climits>
#include <cstdint>

#include "../common/cuda_check.hpp"
#include "../common/shared_memory.hpp"

namespace magi::ffa::sm80 {

// `call` has the device and the stream, `argument` is what the kernel takes.
template <auto kKernel, typename Call, typename Argument>
void launch_kernel(int64_t blocks, int threads, int shared_bytes, const Call& call, const Argument& argument) {
  if (blocks == 0) return;
  if (blocks > INT_MAX) fail(MAGI_UNSUPPORTED, "plan: tiles times heads must stay below 2^31");
  allow_shared_memory<kKernel>(call.device, shared_bytes);
  kKernel<<<static_cast<unsigned>(blocks), threads, shared_bytes, call.stream>>>(argument);
  check_cuda(cudaGetLastError(), "attention kernel");
}

}  // namespace magi::ffa::sm80

#endif
