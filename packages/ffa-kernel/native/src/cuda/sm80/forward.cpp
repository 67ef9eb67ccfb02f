#include "forward.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../common/cuda_check.hpp"
#include "../common/fill.hpp"
#include "../common/packing.hpp"
#include "shapes.hpp"

namespace magi::ffa::sm80 {

void forward(const ForwardParams& params) {
  with_head_dim(params.head_dim, [&](auto head_dim) {
    constexpr int kDim = decltype(head_dim)::value;
    ForwardLaunch launch{};
    launch.params = params;
    launch.packing_shift = packing_shift(params.group_size, ForwardShape<kDim>::kRows / 2);
    launch.num_row_heads = params.num_heads_q >> launch.packing_shift;
    reset_max_logits(params);
    if (params.dtype == MAGI_BFLOAT16) {
      launch_forward<__nv_bfloat16, kDim>(launch);
    } else {
      launch_forward<__half, kDim>(launch);
    }
  });
}

}  // namespace magi::ffa::sm80
