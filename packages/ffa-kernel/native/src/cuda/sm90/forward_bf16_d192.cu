#include "forward_launch.cuh"

namespace magi::ffa::sm90 {

template <>
void forward_for<__nv_bfloat16, 192>(const ForwardParams& params) {
  const bool transform = ScoreTransform::of(params.softmax_scale, params.softcap).active;
  if (transform) launch_forward<ForwardShape<__nv_bfloat16, 192, true>>(params);
  else launch_forward<ForwardShape<__nv_bfloat16, 192, false>>(params);
}

}  // namespace magi::ffa::sm90
