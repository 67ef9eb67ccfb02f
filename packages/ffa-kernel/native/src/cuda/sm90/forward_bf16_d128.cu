#include "forward_launch.cuh"

namespace magi::ffa::sm90 {

template <>
void forward_for<__nv_bfloat16, 128>(const ForwardParams& params) {
  const bool transform = params.softcap > 0.0f || params.softmax_scale <= 0.0f;
  if (transform) launch_forward<ForwardShape<__nv_bfloat16, 128, true>>(params);
  else launch_forward<ForwardShape<__nv_bfloat16, 128, false>>(params);
}

}  // namespace magi::ffa::sm90
