#include "backward_host.hpp"
#include "backward_kernel.cuh"

namespace magi::ffa::sm90 {

template <>
void launch_backward<__half, 64>(const BackwardKernelParams& params, const BackwardLaunch& options) {
  start_backward<__half, 64>(params, options);
}

}  // namespace magi::ffa::sm90
