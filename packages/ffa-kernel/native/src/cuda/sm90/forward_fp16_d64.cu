#include "forward_launch.cuh"

namespace magi::ffa::sm90 {

template <>
void forward_for<__half, 64>(const ForwardParams& params) {
  const bool transform = params.softcap > 0.0f || params.softmax_scale <= 0.0f;
  if (transform) launch_forward<ForwardShape<__half, 64, true>>(params);
  else launch_forward<ForwardShape<__half, 64, false>>(params);
}

}  // namespace magi::ffa::sm90
