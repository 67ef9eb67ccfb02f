// Prepares and launches one instantiation of the forward kernel.
#ifndef MAGI_FFA_SM90_FORWARD_LAUNCH_CUH
#define MAGI_FFA_SM90_FORWARD_LAUNCH_CUH

#include <algorithm>

#include "../common/launch.cuh"
#include "../common/packing.hpp"
#include "forward_kernel.cuh"
#include "launch_counters.hpp"
#include "tensor_map.hpp"

namespace magi::ffa::sm90 {

// Keys and values of the heads in work at a time should stay in L2, which has 50 to 60 MB.
constexpr int64_t kSectionBytes = 32 << 20;

inline ForwardKernelParams forward_kernel_params(const ForwardParams& params, int tile_cols) {
  const int packed_log2 = packing_shift(params.group_size, kWarpgroupRows);
  const int packed = 1 << packed_log2;
  ForwardKernelParams out{};
  const bool float_out = params.out_dtype == MAGI_FLOAT32;
  out.q_map = query_map(params.q, params.dtype, params.total_q, params.num_heads_q, params.head_dim, packed, kWarpgroupRows);
  // Without 16-bit outputs this map is never used.
  out.out_map = float_out ? out.q_map
                          : query_map(params.out, params.dtype, params.total_q, params.num_heads_q, params.head_dim, packed,
                                      kWarpgroupRows);
  // Without keys there is nothing to load, and no map can describe it.
  const bool has_keys = params.total_k > 0;
  const auto keys_map = [&](const void* tensor) {
    return has_keys ? key_map(tensor, params.dtype, params.total_k, params.num_heads_kv, params.head_dim, tile_cols) : out.q_map;
  };
  out.k_map = keys_map(params.k);
  out.v_map = keys_map(params.v);
  out.plan = params.plan;
  out.sink = params.sink_tokens > 0 ? params.sink : nullptr;
  out.out = float_out ? nullptr : params.out;
  out.out_float = float_out ? static_cast<float*>(params.out) : nullptr;
  out.lse = params.lse;
  out.max_logits = params.max_logits;
  out.counters = launch_counters(params.device, params.stream);
  out.total_q = params.total_q;
  out.num_heads_q = params.num_heads_q;
  out.packed = packed;
  out.packed_log2 = packed_log2;
  out.num_row_heads = params.num_heads_q / packed;
  out.kv_divisor = params.group_size / packed;
  const int64_t head_bytes = int64_t{params.total_k} * params.head_dim * 4;
  const int64_t kv_heads = std::clamp<int64_t>(kSectionBytes / std::max<int64_t>(head_bytes, 1), 1, params.num_heads_kv);
  out.section_heads = static_cast<int32_t>(kv_heads) * out.kv_divisor;
  out.sink_layout = params.sink_layout;
  out.sink_tokens = params.sink_tokens;
  out.accumulate = params.accumulate;
  out.dense_descending = params.plan.num_bands == 0 || params.plan.band[4] == -MAGI_FFA_UNBOUNDED;
  out.transform = ScoreTransform::of(params.softmax_scale, params.softcap);
  out.scale_log2 = out.transform.unit * kLog2E;
  out.exact_maxima = params.max_logits != nullptr;
  return out;
}

template <typename Shape>
void launch_forward(const ForwardParams& params) {
  const ForwardKernelParams kernel_params = forward_kernel_params(params, Shape::kCols);
  const int64_t items = int64_t{params.plan.num_tiles} * kernel_params.num_row_heads;
  const int64_t blocks = std::min<int64_t>(items, std::max(params.num_sms, 1));
  launch_large<forward_kernel<Shape>>(params.device,
                                      {blocks, Shape::kThreads, params.stream, shared_bytes<ForwardShared<Shape>>()},
                                      kernel_params, "forward kernel");
}

// Chosen by element type, head_dim and what happens to the scores; each instantiation is a source file of its own.
template <typename T, int kDim>
void forward_for(const ForwardParams& params);

}  // namespace magi::ffa::sm90

#endif
