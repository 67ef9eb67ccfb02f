#include <magi/status.hpp>

#include <algorithm>

#include "../common/cuda_check.hpp"
#include "../common/numeric.cuh"
#include "../common/packing.hpp"
#include "backward_host.hpp"
#include "backward_ranks.cuh"
#include "backward_schedule.hpp"
#include "postprocess.cuh"
#include "preprocess.cuh"
#include "ptx.cuh"
#include "tensor_map.hpp"

namespace magi::ffa::sm90 {

bool supports_backward(int32_t head_dim) { return head_dim == 64 || head_dim == 128; }

namespace {

// Cuts one allocation into parts of 256-byte alignment.
class Layout {
 public:
  template <typename T>
  int64_t take(int64_t count) {
    const int64_t at = bytes_;
    bytes_ += (count * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    return at;
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

// Without queries there is nothing to load, no tensor map can describe it, and every gradient is zero.
void clear_gradients(const BackwardParams& params) {
  const auto clear = [&](void* gradient, int64_t elements, int64_t element_bytes) {
    if (gradient == nullptr || elements == 0) return;
    check_cuda(cudaMemsetAsync(gradient, 0, static_cast<size_t>(elements * element_bytes), params.stream), "gradients");
  };
  const int64_t keys = int64_t{params.total_k} * params.num_heads_kv * params.head_dim;
  const int64_t key_bytes = params.grad_dtype == MAGI_FLOAT32 ? 4 : 2;
  clear(params.grad_k, keys, key_bytes);
  clear(params.grad_v, keys, key_bytes);
  if (params.sink_layout == MAGI_FFA_SINK_SH) clear(params.grad_sink, int64_t{params.sink_tokens} * params.num_heads_q, 4);
}

template <typename T, int kHeadDim>
void run(const BackwardParams& params) {
  using Config = BackwardConfig<kHeadDim>;
  const PlanView& plan = params.plan;
  const int32_t packed_shift = packing_shift(params.group_size, Config::kQueryRows);
  const int32_t packed = 1 << packed_shift;
  const int32_t tile_tokens = Config::kQueryRows / packed;
  check(plan.tile_rows == Config::kKeyRows && plan.tile_cols == tile_tokens,
        "plan: expected backward tiles of %d keys by %d queries, got %d by %d", Config::kKeyRows, tile_tokens, plan.tile_rows,
        plan.tile_cols);
  if (params.total_q == 0) return clear_gradients(params);
  const int32_t query_tiles = (params.total_q + tile_tokens - 1) / tile_tokens;
  const int32_t query_heads = params.num_heads_q / packed;
  const BackwardSchedule schedule = backward_schedule(params, query_tiles);
  const bool sums_keys = schedule.num_chunks > 1;
  const int64_t max_entries = int64_t{plan.num_tiles} * schedule.num_chunks;
  const bool needs_ranks = params.deterministic && plan.tile_runs != nullptr;

  Layout layout;
  const int64_t query_floats = int64_t{query_heads} * query_tiles * Config::kQueryTileElements;
  const int64_t key_floats = sums_keys ? int64_t{params.num_heads_kv} * plan.num_tiles * Config::kKeyTileElements : 0;
  const int64_t grad_q_at = layout.take<float>(query_floats);
  const int64_t turns_at = layout.take<int32_t>(params.deterministic ? int64_t{2} * query_heads * query_tiles : 0);
  const int64_t next_item_at = layout.take<int32_t>(1);
  const int64_t zero_bytes = layout.bytes();
  const int64_t key_sums_at = layout.take<float>(2 * key_floats);
  const int64_t query_rows = int64_t{query_heads} * query_tiles * Config::kQueryRows;
  const int64_t tiles_at = layout.take<KeyTile>(plan.num_tiles);
  const int64_t header_at = layout.take<BackwardItemList::Header>(1);
  const int64_t entries_at = layout.take<int4>(max_entries);
  const int64_t lse2_at = layout.take<float>(query_rows);
  const int64_t delta_at = layout.take<float>(query_rows);
  const int64_t ranks_at = layout.take<int32_t>(needs_ranks ? int64_t{plan.num_tiles} * query_tiles : 0);
  const StreamMemory workspace(static_cast<size_t>(layout.bytes()), params.stream);
  char* const base = workspace.as<char>();
  const auto floats = [base](int64_t at) { return reinterpret_cast<float*>(base + at); };

  const BackwardItemList items = {reinterpret_cast<KeyTile*>(base + tiles_at),
                                  reinterpret_cast<BackwardItemList::Header*>(base + header_at),
                                  reinterpret_cast<int4*>(base + entries_at)};

  PreprocessParams before{};
  before.out = params.out;
  before.grad_out = params.grad_out;
  before.lse = params.lse;
  before.lse2 = floats(lse2_at);
  before.delta = floats(delta_at);
  before.zeros = base;
  before.zero_units = zero_bytes / 16;
  before.key_sums = base + key_sums_at;
  before.key_sum_tiles = 2 * key_floats / Config::kKeyTileElements;
  before.total_q = params.total_q;
  before.num_heads_q = params.num_heads_q;
  before.packed_shift = packed_shift;
  before.num_query_tiles = query_tiles;
  before.plan = plan;
  before.schedule = schedule;
  before.items = items;

  BackwardKernelParams main{};
  main.q_map = query_map(params.q, params.dtype, params.total_q, params.num_heads_q, kHeadDim, packed, Config::kQueryRows);
  main.grad_out_map =
      query_map(params.grad_out, params.dtype, params.total_q, params.num_heads_q, kHeadDim, packed, Config::kQueryRows);
  if (params.total_k > 0) {
    main.k_map = key_map(params.k, params.dtype, params.total_k, params.num_heads_kv, kHeadDim, Config::kKeyRows);
    main.v_map = key_map(params.v, params.dtype, params.total_k, params.num_heads_kv, kHeadDim, Config::kKeyRows);
  }
  main.plan = plan;
  main.items = items;
  main.reverse_tiles = schedule.reverse_tiles;
  main.lse2 = before.lse2;
  main.delta = before.delta;
  main.grad_q = floats(grad_q_at);
  main.grad_k_sum = floats(key_sums_at);
  main.grad_v_sum = main.grad_k_sum + key_floats;
  main.grad_k = params.grad_k;
  main.grad_v = params.grad_v;
  main.next_item = reinterpret_cast<int32_t*>(base + next_item_at);
  main.turns = params.deterministic ? reinterpret_cast<int32_t*>(base + turns_at) : nullptr;
  main.ranks = needs_ranks ? reinterpret_cast<int32_t*>(base + ranks_at) : nullptr;
  main.total_q = params.total_q;
  main.total_k = params.total_k;
  main.num_heads_kv = params.num_heads_kv;
  main.heads_per_group = params.group_size / packed;
  main.packed = packed;
  main.packed_shift = packed_shift;
  main.num_query_tiles = query_tiles;
  main.softmax_scale = params.softmax_scale;
  const bool softcap = params.softcap != 0.0f;
  main.scale_log2 = (softcap ? params.softcap : params.softmax_scale) * kLog2E;
  main.softcap_scale = softcap ? params.softmax_scale / params.softcap : 0.0f;
  main.float_grads = params.grad_dtype == MAGI_FLOAT32;

  PostprocessParams after{};
  after.grad_q_sum = main.grad_q;
  after.grad_k_sum = sums_keys ? main.grad_k_sum : nullptr;
  after.grad_v_sum = main.grad_v_sum;
  after.grad_q = params.grad_q;
  after.grad_k = params.grad_k;
  after.grad_v = params.grad_v;
  after.sink = params.sink;
  after.lse = params.lse;
  after.delta = before.delta;
  after.grad_sink = params.grad_sink;
  after.total_q = params.total_q;
  after.total_k = params.total_k;
  after.num_heads_q = params.num_heads_q;
  after.num_heads_kv = params.num_heads_kv;
  after.packed_shift = packed_shift;
  after.num_query_tiles = query_tiles;
  after.plan = plan;
  after.schedule = schedule;
  after.sink_tokens = params.sink_tokens;
  after.sink_per_query = params.sink_layout == MAGI_FFA_SINK_SSH;
  after.float_grads = main.float_grads;
  after.softmax_scale = params.softmax_scale;

  if (needs_ranks) launch_backward_ranks(plan, query_tiles, reinterpret_cast<int32_t*>(base + ranks_at), params.stream);
  launch_preprocess<T, kHeadDim>(before, params.stream);
  if (plan.num_tiles > 0) {
    const int32_t blocks = static_cast<int32_t>(std::min<int64_t>(max_entries * params.num_heads_kv, params.num_sms));
    launch_backward<T, kHeadDim>(main, {params.device, params.stream, blocks, softcap});
  }
  launch_postprocess<T, kHeadDim>(after, params.stream);
}

}  // namespace

void backward(const BackwardParams& params) {
  const bool bfloat16 = params.dtype == MAGI_BFLOAT16;
  if (params.head_dim == 128) {
    bfloat16 ? run<__nv_bfloat16, 128>(params) : run<__half, 128>(params);
  } else if (params.head_dim == 64) {
    bfloat16 ? run<__nv_bfloat16, 64>(params) : run<__half, 64>(params);
  } else {
    fail(MAGI_UNSUPPORTED, "head_dim: expected 64 or 128 for the sm90 kernel, got %d", params.head_dim);
  }
}

}  // namespace magi::ffa::sm90
