// Between backward.cpp and the kernels, which are compiled one to a file.
#ifndef MAGI_FFA_SM80_BACKWARD_HPP
#define MAGI_FFA_SM80_BACKWARD_HPP

#include "../common/backward_stages.hpp"
#include "../params.hpp"

namespace magi::ffa::sm80 {

struct BackwardLaunch {
  BackwardParams params;
  int32_t packing_shift;  // see common/packing.hpp
  int32_t stages;         // tiles of queries in shared memory: 2, or 1 where there is no room
  QueryStatistics statistics;
  QueryGradients query_grads;
};

// Enqueues the kernel for elements of one type and one padded head_dim.
template <typename Element, int kDim>
void launch_backward(const BackwardLaunch& launch);

}  // namespace magi::ffa::sm80

#endif
