#include "backward_host.hpp"
#include "backward_kernel.cuh"

namespace magi::ffa::sm90 {

template <>
void launch_backward<__nv_bfloat16, 64>(const BackwardKernelParams& params, const BackwardLaunch& options) {
  start_backward<__nv_bfloat16, 64>(params, options);
}

}  // namespace magi::ffa::sm90
