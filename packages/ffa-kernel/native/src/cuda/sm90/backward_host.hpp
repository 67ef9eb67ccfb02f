// What backward chooses before it starts its kernels.
#ifndef MAGI_FFA_SM90_BACKWARD_HOST_HPP
#define MAGI_FFA_SM90_BACKWARD_HOST_HPP

#include "backward_config.cuh"

namespace magi::ffa::sm90 {

// Chosen by element type, head_dim and softcap; each instantiation is a source file of its own.
template <typename T, int kHeadDim>
void launch_backward(const BackwardKernelParams& params, bool softcap, int32_t blocks, cudaStream_t stream);

BackwardSchedule backward_schedule(const BackwardParams& params, int32_t num_query_tiles);

}  // namespace magi::ffa::sm90

#endif
