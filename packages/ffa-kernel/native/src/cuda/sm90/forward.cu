#include <magi/status.hpp>

#include "../common/fill.hpp"
#include "forward_launch.cuh"

namespace magi::ffa::sm90 {
namespace {

template <typename T>
void forward_of(const ForwardParams& params) {
  switch (params.head_dim) {
    case 64: return forward_for<T, 64>(params);
    case 96: return forward_for<T, 96>(params);
    case 128: return forward_for<T, 128>(params);
    case 192: return forward_for<T, 192>(params);
    case 256: return forward_for<T, 256>(params);
    default: fail(MAGI_UNSUPPORTED, "head_dim: expected 64, 96, 128, 192 or 256 for the sm90 kernel, got %d", params.head_dim);
  }
}

}  // namespace

bool supports_forward(int32_t head_dim) {
  return head_dim == 64 || head_dim == 96 || head_dim == 128 || head_dim == 192 || head_dim == 256;
}

void forward(const ForwardParams& params) {
  reset_max_logits(params);
  if (params.total_q == 0) return;
  params.dtype == MAGI_BFLOAT16 ? forward_of<__nv_bfloat16>(params) : forward_of<__half>(params);
}

}  // namespace magi::ffa::sm90
