#include "backward_stages.hpp"
#include "fixed_point.cuh"
#include "launch.cuh"
#include "numeric.cuh"

namespace magi::ffa {
namespace {

constexpr int kThreads = 256;

struct FinishLaunch {
  BackwardParams params;
  QueryStatistics statistics;
  QueryGradients grads;
  int32_t packing_shift;
  int32_t sink_blocks;  // the first blocks each sum up the sinks of a head, the others write grad_q
};

__device__ __forceinline__ int64_t place_of(const FinishLaunch& launch, int64_t token, int head) {
  const int shift = launch.packing_shift;
  return ((static_cast<int64_t>(head >> shift) * launch.params.total_q + token) << shift) + (head & ((1 << shift) - 1));
}

// grad_sink = -sum over rows of exp(sink - lse) * delta, in double: there may be a million rows.
__device__ void finish_sinks(const FinishLaunch& launch, int head) {
  const BackwardParams& params = launch.params;
  __shared__ double partial[kThreads];
  for (int t = 0; t < params.sink_tokens; ++t) {
    const float sink = params.sink[t * params.num_heads_q + head];
    double sum = 0.0;
    for (int64_t token = threadIdx.x; token < params.total_q; token += kThreads) {
      const int64_t place = place_of(launch, token, head);
      sum -= exp2_approx(sink * kLog2E - launch.statistics.lse2[place]) * launch.statistics.delta[place];
    }
    partial[threadIdx.x] = sum;
    __syncthreads();
    for (int step = kThreads / 2; step > 0; step /= 2) {
      if (threadIdx.x < step) partial[threadIdx.x] += partial[threadIdx.x + step];
      __syncthreads();
    }
    if (threadIdx.x == 0) params.grad_sink[t * params.num_heads_q + head] = static_cast<float>(partial[0]);
    __syncthreads();
  }
}

// Two elements a thread.
template <typename Element>
__device__ void finish_pair(const FinishLaunch& launch, int64_t index) {
  const BackwardParams& params = launch.params;
  const int64_t row = index / params.head_dim;
  if (row >= static_cast<int64_t>(params.total_q) * params.num_heads_q) return;
  float2 pair;
  if (launch.grads.fixed_sums != nullptr) {
    const int64_t place = place_of(launch, row / params.num_heads_q, static_cast<int>(row % params.num_heads_q));
    const int exponent =
        fixed_exponent(launch.statistics.grad_norm[place], params.softmax_scale, launch.grads.maxima);
    const float unit = exponent == kNotFinite ? __int_as_float(0x7fffffff) : power_of_two(-exponent);
    const longlong2 sums = *reinterpret_cast<const longlong2*>(launch.grads.fixed_sums + index);
    pair = {static_cast<float>(sums.x) * unit, static_cast<float>(sums.y) * unit};
  } else {
    pair = *reinterpret_cast<const float2*>(launch.grads.sums + index);
  }
  if (params.grad_dtype == MAGI_FLOAT32) {
    *reinterpret_cast<float2*>(static_cast<float*>(params.grad_q) + index) = pair;
  } else {
    *reinterpret_cast<uint32_t*>(static_cast<Element*>(params.grad_q) + index) = pack_pair<Element>(pair.x, pair.y);
  }
}

template <typename Element>
__global__ __launch_bounds__(kThreads) void finish_kernel(const __grid_constant__ FinishLaunch launch) {
  if (static_cast<int>(blockIdx.x) < launch.sink_blocks) {
    finish_sinks(launch, blockIdx.x);
    return;
  }
  finish_pair<Element>(launch, 2 * (static_cast<int64_t>(blockIdx.x - launch.sink_blocks) * kThreads + threadIdx.x));
}

}  // namespace

void finish_queries(const BackwardParams& params, int32_t packing_shift, const QueryStatistics& statistics,
                    const QueryGradients& grads) {
  FinishLaunch job{};
  job.params = params;
  job.statistics = statistics;
  job.grads = grads;
  job.packing_shift = packing_shift;
  const bool sinks = params.grad_sink != nullptr && params.sink_layout == MAGI_FFA_SINK_SH;
  job.sink_blocks = sinks ? params.num_heads_q : 0;
  const bool in_place = grads.sums == params.grad_q;
  const int64_t pairs = in_place ? 0 : int64_t{params.total_q} * params.num_heads_q * params.head_dim / 2;
  const int64_t blocks = job.sink_blocks + (pairs + kThreads - 1) / kThreads;
  const auto kernel = params.dtype == MAGI_BFLOAT16 ? finish_kernel<__nv_bfloat16> : finish_kernel<__half>;
  launch(kernel, {blocks, kThreads, params.stream}, job, "backward postprocess");
}

}  // namespace magi::ffa
