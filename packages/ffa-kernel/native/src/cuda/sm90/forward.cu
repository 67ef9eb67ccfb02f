#include <magi/status.hpp>

#include "../common/fill.hpp"
#include "forward_launch.cuh"

namespace magi::ffa::sm90 {
bool supports(int32_t head_dim) { return head_dim == 64 || head_dim == 128; }

void forward(const ForwardParams& params) {
  reset_max_logits(params);
  if (params.total_q == 0) return;
  const bool bfloat16 = params.dtype == MAGI_BFLOAT16;
  if (params.head_dim == 128) {
    bfloat16 ? forward_for<__nv_bfloat16, 128>(params) : forward_for<__half, 128>(params);
  } else if (params.head_dim == 64) {
    bfloat16 ? forward_for<__nv_bfloat16, 64>(params) : forward_for<__half, 64>(params);
  } else {
    fail(MAGI_UNSUPPORTED, "head_dim: expected 64 or 128 for the sm90 kernel, got %d", params.head_dim);
  }
}

}  // namespace magi::ffa::sm90
