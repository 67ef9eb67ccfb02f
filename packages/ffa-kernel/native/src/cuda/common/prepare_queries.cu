#include <algorithm>

#include "backward_stages.hpp"
#include "launch.cuh"
#include "numeric.cuh"

namespace magi::ffa {
namespace {

constexpr int kThreads = 256;
constexpr int kMaximaBlocks = 1024;

struct PrepareLaunch {
  BackwardParams params;
  QueryStatistics statistics;
  uint32_t* maxima;
  int32_t packing_shift;
  int32_t lanes_per_row;   // 8, 16 or 32: each has eight elements
  int32_t maxima_blocks;   // the first blocks find the largest keys and values, the others have queries
};

template <typename Element>
__device__ __forceinline__ void load_8(float (&values)[8], const Element* from) {
  const uint4 words = *reinterpret_cast<const uint4*>(from);
  const uint32_t pairs[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = unpack_pair(pairs[i], Element{});
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

// Bits of the largest |value|: those of non-negative floats ascend as integers do, and NaN is above all.
template <typename Element>
__device__ uint32_t largest_of(const void* tensor, int64_t count, int block, int num_blocks) {
  uint32_t largest = 0;
  for (int64_t i = 8 * (static_cast<int64_t>(block) * kThreads + threadIdx.x); i < count; i += 8ll * num_blocks * kThreads) {
    float values[8];
    load_8(values, static_cast<const Element*>(tensor) + i);
#pragma unroll
    for (int j = 0; j < 8; ++j) largest = max(largest, __float_as_uint(fabsf(values[j])));
  }
  return largest;
}

template <typename Element>
__device__ void find_maxima(const PrepareLaunch& launch) {
  const BackwardParams& params = launch.params;
  const int64_t count = static_cast<int64_t>(params.total_k) * params.num_heads_kv * params.head_dim;
  const void* tensors[2] = {params.k, params.v};
  for (int which = 0; which < 2; ++which) {
    uint32_t largest = largest_of<Element>(tensors[which], count, blockIdx.x, launch.maxima_blocks);
    for (int step = 16; step > 0; step /= 2) largest = max(largest, __shfl_xor_sync(0xffffffffu, largest, step));
    if (threadIdx.x % 32 == 0) atomicMax(launch.maxima + which, largest);
  }
}

template <typename Element>
__device__ void prepare_row(const PrepareLaunch& launch, int64_t index, int lane) {
  const BackwardParams& params = launch.params;
  const int64_t num_rows = static_cast<int64_t>(params.total_q) * params.num_heads_q;
  float delta = 0.0f, norm = 0.0f;
  if (index < num_rows && 8 * lane < params.head_dim) {
    float out[8], grad[8];
    load_8(out, static_cast<const Element*>(params.out) + index * params.head_dim + 8 * lane);
    load_8(grad, static_cast<const Element*>(params.grad_out) + index * params.head_dim + 8 * lane);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      delta += out[i] * grad[i];
      norm += fabsf(grad[i]);
    }
  }
  for (int step = launch.lanes_per_row / 2; step > 0; step /= 2) {
    delta += __shfl_xor_sync(0xffffffffu, delta, step);
    norm += __shfl_xor_sync(0xffffffffu, norm, step);
  }
  if (index >= num_rows || lane != 0) return;
  const int64_t token = index / params.num_heads_q;
  const int head = static_cast<int>(index % params.num_heads_q);
  const int shift = launch.packing_shift;
  const int64_t place = ((static_cast<int64_t>(head >> shift) * params.total_q + token) << shift) + (head & ((1 << shift) - 1));
  const float lse = params.lse[index];
  launch.statistics.lse2[place] = lse == -INFINITY ? INFINITY : lse * kLog2E;
  launch.statistics.delta[place] = delta;
  // NaN marks a row that has one anywhere: integers could not carry it.
  if (launch.statistics.grad_norm != nullptr) launch.statistics.grad_norm[place] = isnan(lse) || isnan(delta) ? NAN : norm;
  if (params.grad_sink == nullptr || params.sink_layout != MAGI_FFA_SINK_SSH) return;
  for (int t = 0; t < params.sink_tokens; ++t) {
    const int64_t at = (token * params.sink_tokens + t) * params.num_heads_q + head;
    params.grad_sink[at] = lse == -INFINITY ? 0.0f : -exp2_approx((params.sink[at] - lse) * kLog2E) * delta;
  }
}

template <typename Element>
__global__ __launch_bounds__(kThreads) void prepare_kernel(const __grid_constant__ PrepareLaunch launch) {
  if (static_cast<int>(blockIdx.x) < launch.maxima_blocks) {
    find_maxima<Element>(launch);
    return;
  }
  const int64_t thread = static_cast<int64_t>(blockIdx.x - launch.maxima_blocks) * kThreads + threadIdx.x;
  prepare_row<Element>(launch, thread / launch.lanes_per_row, static_cast<int>(thread % launch.lanes_per_row));
}

}  // namespace

void prepare_queries(const BackwardParams& params, int32_t packing_shift, const QueryStatistics& statistics, uint32_t* maxima) {
  PrepareLaunch job{};
  job.params = params;
  job.statistics = statistics;
  job.maxima = maxima;
  job.packing_shift = packing_shift;
  job.lanes_per_row = params.head_dim <= 64 ? 8 : params.head_dim <= 128 ? 16 : 32;
  if (maxima != nullptr) {
    check_cuda(cudaMemsetAsync(maxima, 0, 2 * sizeof(uint32_t), params.stream), "maxima");
    const int64_t keys = int64_t{params.total_k} * params.num_heads_kv * params.head_dim;
    job.maxima_blocks = static_cast<int32_t>(std::min<int64_t>(kMaximaBlocks, (keys + 8 * kThreads - 1) / (8 * kThreads)));
  }
  const int64_t threads = int64_t{params.total_q} * params.num_heads_q * job.lanes_per_row;
  const int64_t blocks = job.maxima_blocks + (threads + kThreads - 1) / kThreads;
  const auto kernel = params.dtype == MAGI_BFLOAT16 ? prepare_kernel<__nv_bfloat16> : prepare_kernel<__half>;
  launch(kernel, {blocks, kThreads, params.stream}, job, "backward preprocess");
}

}  // namespace magi::ffa
