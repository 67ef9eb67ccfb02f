// Between forward.cpp and the kernels, which are compiled one to a file.
#ifndef MAGI_FFA_SM80_FORWARD_HPP
#define MAGI_FFA_SM80_FORWARD_HPP

#include "../params.hpp"

namespace magi::ffa::sm80 {

struct ForwardLaunch {
  ForwardParams params;
  int32_t packing_shift;  // see common/packing.hpp
  int32_t num_row_heads;  // num_heads_q >> packing_shift: each has a block for each tile of the plan
};

// Enqueues the kernel for elements of one type and one padded head_dim.
template <typename Element, int kDim>
void launch_forward(const ForwardLaunch& launch);

}  // namespace magi::ffa::sm80

#endif
