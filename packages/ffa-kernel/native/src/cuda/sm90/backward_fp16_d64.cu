#include "backward_host.hpp"
#include "backward_kernel.cuh"

namespace magi::ffa::sm90 {

template <>
void launch_backward<__half, 64>(const BackwardKernelParams& params, bool softcap, int32_t blocks, cudaStream_t stream) {
  const auto start = softcap ? launch_backward_kernel<64, __half, true> : launch_backward_kernel<64, __half, false>;
  start(params, blocks, stream);
}

}  // namespace magi::ffa::sm90
