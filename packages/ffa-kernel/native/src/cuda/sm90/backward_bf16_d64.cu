#include "backward_host.hpp"
#include "backward_kernel.cuh"

namespace magi::ffa::sm90 {

template <>
void launch_backward<__nv_bfloat16, 64>(const BackwardKernelParams& params, bool softcap, int32_t blocks, cudaStream_t stream) {
  start_backward<__nv_bfloat16, 64>(params, softcap, blocks, stream);
}

}  // namespace magi::ffa::sm90
