// What backward chooses before it starts its kernels.
#ifndef MAGI_FFA_SM90_BACKWARD_HOST_HPP
#define MAGI_FFA_SM90_BACKWARD_HOST_HPP

#include "backward_config.cuh"

namespace magi::ffa::sm90 {

struct BackwardLaunch {
  int32_t device;
  cudaStream_t stream;
  int32_t blocks;
  bool softcap;
};

// Chosen by element type and head_dim; each instantiation is a source file of its own.
template <typename T, int kHeadDim>
void launch_backward(const BackwardKernelParams& params, const BackwardLaunch& options);

}  // namespace magi::ffa::sm90

#endif
