#include "backward_host.hpp"
#include "backward_kernel.cuh"

namespace magi::ffa::sm90 {

template <>
void launch_backward<__nv_bfloat16, 128>(const BackwardKernelParams& params, bool softcap, int32_t blocks, cudaStream_t stream) {
  const auto start = softcap ? launch_backward_kernel<128, __nv_bfloat16, true> : launch_backward_kernel<128, __nv_bfloat16, false>;
  start(params, blocks, stream);
}

}  // namespace magi::ffa::sm90
