#include "postprocess.cuh"

#include "backward_config.cuh"
#include "backward_items.cuh"
#include "../common/launch.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {
namespace {

constexpr int kThreads = 256;

// Reads a tile of sums in the order of the accumulators of two warpgroups, and writes its rows: element_of(row) is where a row
// goes, or negative.
template <typename T, int kRows, int kHeadDim, bool kSplitColumns, typename ElementOf>
__device__ void convert_tile(const float* sums, void* target, bool float_grads, float scale, uint16_t* shared,
                             const ElementOf& element_of) {
  constexpr int kPitch = kHeadDim + 8;  // elements: rows 8 apart do not meet in one bank
  constexpr int kQuads = kRows * kHeadDim / 4;
  constexpr int kHalf = kQuads / 2;
#pragma unroll
  for (int index = threadIdx.x; index < kQuads; index += kThreads) {
    float4 quad = __ldcs(reinterpret_cast<const float4*>(sums) + index);
    quad.x *= scale, quad.y *= scale, quad.z *= scale, quad.w *= scale;
    const int warpgroup = index / kHalf;
    const int thread = index % 128;
    const int row = thread / 32 * 16 + thread % 32 / 4 + (kSplitColumns ? 0 : warpgroup * 64);
    const int col = index % kHalf / 128 * 8 + thread % 4 * 2 + (kSplitColumns ? warpgroup * (kHeadDim / 2) : 0);
    if (float_grads) {
      const int64_t upper = element_of(row), lower = element_of(row + 8);
      if (upper >= 0) *reinterpret_cast<float2*>(static_cast<float*>(target) + upper + col) = make_float2(quad.x, quad.y);
      if (lower >= 0) *reinterpret_cast<float2*>(static_cast<float*>(target) + lower + col) = make_float2(quad.z, quad.w);
    } else {
      *reinterpret_cast<uint32_t*>(shared + row * kPitch + col) = pack_pair<T>(quad.x, quad.y);
      *reinterpret_cast<uint32_t*>(shared + (row + 8) * kPitch + col) = pack_pair<T>(quad.z, quad.w);
    }
  }
  if (float_grads) return;
  __syncthreads();
#pragma unroll
  for (int index = threadIdx.x; index < kRows * kHeadDim / 8; index += kThreads) {
    const int row = index / (kHeadDim / 8);
    const int col = index % (kHeadDim / 8) * 8;
    const int64_t element = element_of(row);
    if (element >= 0) {
      *reinterpret_cast<uint4*>(static_cast<uint16_t*>(target) + element + col) =
          *reinterpret_cast<const uint4*>(shared + row * kPitch + col);
    }
  }
}

// -exp(sink - lse) * delta of one row; the sum over rows, in a fixed order, where they share their sinks.
template <int kQueryRows>
__device__ void sink_grads(const PostprocessParams& params, int32_t head, float* shared) {
  const float* delta = params.delta + int64_t{head >> params.packed_shift} * params.num_query_tiles * kQueryRows +
                       (head & ((1 << params.packed_shift) - 1));
  for (int32_t t = 0; t < params.sink_tokens; ++t) {
    float sum = 0.0f;
    for (int32_t row = threadIdx.x; row < params.total_q; row += kThreads) {
      const float lse = params.lse[int64_t{row} * params.num_heads_q + head];
      const int64_t at = ((params.sink_per_query ? int64_t{row} * params.sink_tokens : 0) + t) * params.num_heads_q + head;
      const float grad = lse == -INFINITY ? 0.0f : -__expf(params.sink[at] - lse) * delta[int64_t{row} << params.packed_shift];
      if (params.sink_per_query) params.grad_sink[at] = grad;
      sum += grad;
    }
    if (params.sink_per_query) continue;
    shared[threadIdx.x] = sum;
    for (int half = kThreads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    if (threadIdx.x == 0) params.grad_sink[t * params.num_heads_q + head] = shared[0];
    __syncthreads();
  }
}

template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kThreads) postprocess_kernel(const PostprocessParams params) {
  using Config = BackwardConfig<kHeadDim>;
  __shared__ __align__(16) uint16_t shared[Config::kKeyRows * (kHeadDim + 8)];
  wait_for_previous_kernel();
  int32_t block = blockIdx.x;
  const int32_t query_blocks = (params.num_heads_q >> params.packed_shift) * params.num_query_tiles;
  if (block < query_blocks) {
    const int32_t head = block / params.num_query_tiles;
    const int32_t tile = block - head * params.num_query_tiles;
    const auto element_of = [&](int row) -> int64_t {
      const auto [token, query_head] = PackedRow::of(head, tile, Config::kQueryRows, row, params.packed_shift);
      if (token >= params.total_q) return -1;
      return (int64_t{token} * params.num_heads_q + query_head) * kHeadDim;
    };
    convert_tile<T, Config::kQueryRows, kHeadDim, Config::kSplitsQueryCols>(
        params.grad_q_sum + int64_t{block} * Config::kQueryTileElements, params.grad_q, params.float_grads, params.softmax_scale,
        shared, element_of);
    return;
  }
  block -= query_blocks;
  const int32_t num_key_tiles = params.plan.num_tiles;
  const int32_t key_blocks = params.grad_k_sum == nullptr ? 0 : params.num_heads_kv * num_key_tiles;
  if (block < 2 * key_blocks) {
    const bool is_value = block >= key_blocks;
    if (is_value) block -= key_blocks;
    const int32_t head = block / num_key_tiles;
    const int32_t tile = block - head * num_key_tiles;
    if (!is_cut(tile_span(params.plan, tile), params.schedule)) return;
    const auto element_of = [&](int row) -> int64_t {
      const int32_t token = tile * Config::kKeyRows + row;
      return token < params.total_k ? (int64_t{token} * params.num_heads_kv + head) * kHeadDim : -1;
    };
    const int64_t at = int64_t{block} * Config::kKeyTileElements;
    convert_tile<T, Config::kKeyRows, kHeadDim, false>((is_value ? params.grad_v_sum : params.grad_k_sum) + at,
                                                       is_value ? params.grad_v : params.grad_k, params.float_grads,
                                                       is_value ? 1.0f : params.softmax_scale, shared, element_of);
    return;
  }
  sink_grads<Config::kQueryRows>(params, block - 2 * key_blocks, reinterpret_cast<float*>(shared));
}

}  // namespace

template <typename T, int kHeadDim>
void launch_postprocess(const PostprocessParams& params, cudaStream_t stream) {
  int32_t blocks = (params.num_heads_q >> params.packed_shift) * params.num_query_tiles;
  if (params.grad_k_sum != nullptr) blocks += 2 * params.num_heads_kv * params.plan.num_tiles;
  if (params.grad_sink != nullptr) blocks += params.num_heads_q;
  launch(postprocess_kernel<T, kHeadDim>, {blocks, kThreads, stream, 0, true}, params, "backward postprocess");
}

template void launch_postprocess<__nv_bfloat16, 64>(const PostprocessParams&, cudaStream_t);
template void launch_postprocess<__nv_bfloat16, 128>(const PostprocessParams&, cudaStream_t);
template void launch_postprocess<__half, 64>(const PostprocessParams&, cudaStream_t);
template void launch_postprocess<__half, 128>(const PostprocessParams&, cudaStream_t);

}  // namespace magi::ffa::sm90
