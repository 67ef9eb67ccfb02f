#include "preprocess.cuh"

#include "../common/launch.cuh"
#include "../common/numeric.cuh"
#include "backward_config.cuh"
#include "backward_items.cuh"
#include "tile_sizes.hpp"
#include "ptx.cuh"

namespace magi::ffa::sm90 {
namespace {

constexpr int kThreads = 256;

template <typename T>
__device__ __forceinline__ float dot_pair(uint32_t a, uint32_t b, float sum) {
  const float2 x = unpack_pair(a, T{}), y = unpack_pair(b, T{});
  return fmaf(x.y, y.y, fmaf(x.x, y.x, sum));
}

// Units of 16 bytes, by all threads of a block.
__device__ void clear(void* memory, int64_t begin, int64_t end) {
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) static_cast<uint4*>(memory)[i] = make_uint4(0, 0, 0, 0);
}

template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kThreads) preprocess_kernel(const PreprocessParams params) {
  allow_next_kernel();
  if (blockIdx.x == 0) return ItemLister<kThreads>(params.plan, params.schedule, params.items).run();
  const int32_t block = blockIdx.x - 1;
  const int32_t blocks = gridDim.x - 1;
  constexpr int kRows = BackwardConfig<kHeadDim>::kQueryRows;
  constexpr int kLanes = kHeadDim / 8;  // of a row, 16 bytes each
  constexpr int kRowsAtOnce = kThreads / kLanes;

  const int64_t zeros_each = (params.zero_units + blocks - 1) / blocks;
  const int64_t zeros_begin = block * zeros_each;
  clear(params.zeros, zeros_begin, min(zeros_begin + zeros_each, params.zero_units));
  constexpr int64_t kKeyTileUnits = BackwardConfig<kHeadDim>::kKeyTileElements * sizeof(float) / sizeof(uint4);
  for (int64_t i = block; i < params.key_sum_tiles; i += blocks) {
    const int32_t key_tile = static_cast<int32_t>(i % params.plan.num_tiles);
    if (is_cut(tile_span(params.plan, key_tile), params.schedule)) {
      clear(params.key_sums, i * kKeyTileUnits, (i + 1) * kKeyTileUnits);
    }
  }

  const int32_t head = block / params.num_query_tiles;
  const int32_t tile = block - head * params.num_query_tiles;
  const int lane = threadIdx.x % kLanes;
#pragma unroll
  for (int r = threadIdx.x / kLanes; r < kRows; r += kRowsAtOnce) {
    const auto [token, query_head] = PackedRow::of(head, tile, kRows, r, params.packed_shift);
    const int64_t row = int64_t{token} * params.num_heads_q + query_head;
    float lse2 = INFINITY;
    float sum = 0.0f;
    if (token < params.total_q) {
      const uint4 out = static_cast<const uint4*>(params.out)[row * kLanes + lane];
      const uint4 grad = static_cast<const uint4*>(params.grad_out)[row * kLanes + lane];
      const float lse = params.lse[row];
      lse2 = lse == -INFINITY ? INFINITY : lse * kLog2E;
      sum = dot_pair<T>(out.x, grad.x, sum);
      sum = dot_pair<T>(out.y, grad.y, sum);
      sum = dot_pair<T>(out.z, grad.z, sum);
      sum = dot_pair<T>(out.w, grad.w, sum);
    }
#pragma unroll
    for (int step = kLanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, step);
    if (lane == 0) {
      const int64_t at = int64_t{block} * kRows + r;
      params.lse2[at] = lse2;
      params.delta[at] = sum;
    }
  }
}

}  // namespace

template <typename T, int kHeadDim>
void launch_preprocess(const PreprocessParams& params, cudaStream_t stream) {
  const int64_t blocks = int64_t{params.num_heads_q >> params.packed_shift} * params.num_query_tiles;
  launch(preprocess_kernel<T, kHeadDim>, {blocks + 1, kThreads, stream}, params, "backward preprocess");
}

template void launch_preprocess<__nv_bfloat16, 64>(const PreprocessParams&, cudaStream_t);
template void launch_preprocess<__nv_bfloat16, 128>(const PreprocessParams&, cudaStream_t);
template void launch_preprocess<__half, 64>(const PreprocessParams&, cudaStream_t);
template void launch_preprocess<__half, 128>(const PreprocessParams&, cudaStream_t);

}  // namespace magi::ffa::sm90
