// From sums to results: normalises the outputs of an item, adds sinks, merges, and stores.
#ifndef MAGI_FFA_SM90_FORWARD_EPILOGUE_CUH
#define MAGI_FFA_SM90_FORWARD_EPILOGUE_CUH

#include "forward_types.cuh"
#include "online_softmax.cuh"

namespace magi::ffa::sm90 {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

// Where a thread's two rows of an item lie.
struct RowPlaces {
  int token[2];
  int head[2];
};

// log(exp(a) + exp(b)); -infinity where both are.
__device__ __forceinline__ float log_add_exp(float a, float b) {
  const float larger = fmaxf(a, b);
  return larger == -INFINITY ? larger : larger + __logf(1.0f + __expf(-fabsf(a - b)));
}

__device__ inline float sink_lse(const ForwardKernelParams& params, int token, int head) {
  const bool per_token = params.sink_layout == MAGI_FFA_SINK_SSH;
  const float* sink = params.sink + head;
  if (per_token) sink += static_cast<int64_t>(token) * params.sink_tokens * params.num_heads_q;
  float result = -INFINITY;
#pragma unroll 1
  for (int i = 0; i < params.sink_tokens; ++i) result = log_add_exp(result, sink[static_cast<int64_t>(i) * params.num_heads_q]);
  return result;
}

__device__ __forceinline__ void atomic_max(float* address, float value) {
  if (value >= 0.0f) atomicMax(reinterpret_cast<int*>(address), __float_as_int(value));
  else atomicMin(reinterpret_cast<unsigned int*>(address), __float_as_uint(value));
}

// What becomes of a thread's two rows.
struct RowResults {
  float factors[2];  // for the unnormalised outputs
  float keep[2];     // when accumulating, for the outputs that are there already
  float lse[2];
};

__device__ __forceinline__ float* lse_place(const ForwardKernelParams& params, const RowPlaces& rows, int h) {
  return params.lse + static_cast<int64_t>(rows.token[h]) * params.num_heads_q + rows.head[h];
}

__device__ __forceinline__ RowResults finish_rows(const ForwardKernelParams& params, const OnlineSoftmax& softmax,
                                                  const RowPlaces& rows) {
  RowResults results;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    results.factors[h] = results.keep[h] = results.lse[h] = 0.0f;
    if (rows.token[h] >= params.total_q) continue;
    const float sum = softmax.row_sum[h];
    const bool has_keys = sum > 0.0f;
    const float own = has_keys ? (softmax.row_max[h] * params.scale_log2 + __log2f(sum)) * kLn2 : -INFINITY;
    float total = own;
    if (params.sink != nullptr) total = log_add_exp(total, sink_lse(params, rows.token[h], rows.head[h]));
    if (params.accumulate) {
      const float before = *lse_place(params, rows, h);
      total = log_add_exp(total, before);
      results.keep[h] = before == -INFINITY ? 0.0f : __expf(before - total);
    }
    if (has_keys) results.factors[h] = __expf(own - total) / sum;
    results.lse[h] = total;
  }
  return results;
}

// Writes lse and max_logits. All four threads of a row must have read the lse before.
__device__ __forceinline__ void store_statistics(const ForwardKernelParams& params, const OnlineSoftmax& softmax,
                                                 const RowPlaces& rows, const RowResults& results, int lane) {
  if (lane % 4 != 0) return;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (rows.token[h] >= params.total_q) continue;
    *lse_place(params, rows, h) = results.lse[h];
    if (params.max_logits != nullptr && softmax.row_sum[h] > 0.0f) {
      atomic_max(params.max_logits + rows.head[h], softmax.row_max[h] * params.scale_log2 * kLn2);
    }
  }
}

// float32 outputs go from registers to memory, merged with what is there if accumulating.
template <int kDim>
__device__ inline void store_float_rows(const ForwardKernelParams& params, const float (&out)[kDim / 2], const RowPlaces& rows,
                                        int lane, const float (&keep)[2]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (rows.token[h] >= params.total_q) continue;
    const int64_t row = static_cast<int64_t>(rows.token[h]) * params.num_heads_q + rows.head[h];
    float* target = params.out_float + row * kDim + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < kDim / 8; ++i) {
      float2 value = make_float2(out[4 * i + 2 * h], out[4 * i + 2 * h + 1]);
      float2* place = reinterpret_cast<float2*>(target + 8 * i);
      // What stands beside an lse of -infinity has no meaning, and may be NaN.
      if (keep[h] > 0.0f) {
        const float2 before = *place;
        value.x += keep[h] * before.x;
        value.y += keep[h] * before.y;
      }
      *place = value;
    }
  }
}

// The four threads of a row write it together.
template <int kDim>
__device__ __forceinline__ void store_zero_row(const ForwardKernelParams& params, int token, int head, int lane) {
  const int64_t row = static_cast<int64_t>(token) * params.num_heads_q + head;
  if (params.out_float != nullptr) {
    float4* target = reinterpret_cast<float4*>(params.out_float + row * kDim);
    for (int i = lane % 4; i < kDim / 4; i += 4) target[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  } else {
    uint4* target = reinterpret_cast<uint4*>(static_cast<uint16_t*>(params.out) + row * kDim);
    for (int i = lane % 4; i < kDim / 8; i += 4) target[i] = make_uint4(0, 0, 0, 0);
  }
}

// 16-bit outputs go by way of shared memory, in the swizzled panels that the tensor map describes.
template <typename T, int kDim>
__device__ __forceinline__ void stage_rows(char* smem, const float (&out)[kDim / 2], int warp, int lane) {
  const int row = 16 * warp + (lane & 15);
  const uint32_t row_address = smem_address(smem) + row * 128;
#pragma unroll
  for (int c = 0; c < kDim / 16; ++c) {
    const int chunk = (c % 4) * 2 + (lane >> 4);
    const uint32_t address = row_address + (c / 4) * (kWarpgroupRows * 128) + ((chunk ^ (row & 7)) << 4);
    store_matrices(address, pack_pair<T>(out[8 * c], out[8 * c + 1]), pack_pair<T>(out[8 * c + 2], out[8 * c + 3]),
                   pack_pair<T>(out[8 * c + 4], out[8 * c + 5]), pack_pair<T>(out[8 * c + 6], out[8 * c + 7]));
  }
}

}  // namespace magi::ffa::sm90

#endif
