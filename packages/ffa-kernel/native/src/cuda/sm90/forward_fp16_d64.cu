#include "forward_launch.cuh"

namespace magi::ffa::sm90 {

template <>
void forward_for<__half, 64>(const ForwardParams& params) {
  if (ScoreTransform::of(params.softmax_scale, params.softcap).active) launch_forward<ForwardShape<__half, 64, true>>(params);
  else launch_forward<ForwardShape<__half, 64, false>>(params);
}

}  // namespace magi::ffa::sm90
