// From sums to results: normalises the outputs of an item, adds sinks, merges, and stores.
#ifndef MAGI_FFA_SM90_FORWARD_EPILOGUE_CUH
#define MAGI_FFA_SM90_FORWARD_EPILOGUE_CUH

#include "../common/row_result.cuh"
#include "forward_types.cuh"
#include "online_softmax.cuh"

namespace magi::ffa::sm90 {

// Where a thread's two rows of an item lie.
struct RowPlaces {
  int token[2];
  int head[2];
};

__device__ __forceinline__ float* lse_place(const ForwardKernelParams& params, const RowPlaces& rows, int h) {
  return params.lse + static_cast<int64_t>(rows.token[h]) * params.num_heads_q + rows.head[h];
}

// What becomes of a thread's two rows.
__device__ __forceinline__ void finish_rows(const ForwardKernelParams& params, const OnlineSoftmax& softmax,
                                            const RowPlaces& rows, RowResult (&results)[2]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    results[h] = {0.0f, 0.0f, 0.0f};
    if (rows.token[h] >= params.total_q) continue;
    const RowSinks sinks = RowSinks::of(params.sink, params.sink_layout, params.sink_tokens, params.num_heads_q, rows.token[h],
                                        rows.head[h]);
    results[h] = finish_row(softmax.row_max[h] * params.scale_log2, softmax.row_sum(h), sinks);
    if (params.accumulate) results[h] = merge_rows(results[h], *lse_place(params, rows, h));
  }
}

// Writes lse and max_logits. All four threads of a row must have read the lse before.
__device__ __forceinline__ void store_statistics(const ForwardKernelParams& params, const OnlineSoftmax& softmax,
                                                 const RowPlaces& rows, const RowResult (&results)[2], int lane) {
  if (lane % 4 != 0) return;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (rows.token[h] >= params.total_q) continue;
    *lse_place(params, rows, h) = results[h].lse;
    // Rows without keys raise it, too, to -infinity: reset_max_logits relies on it.
    if (params.max_logits != nullptr) {
      atomic_max(params.max_logits + rows.head[h], softmax.row_max[h] * params.scale_log2 * kLn2);
    }
  }
}

// Where the thread's first two elements of a float32 output row are.
template <int kDim>
__device__ __forceinline__ float* float_row(const ForwardKernelParams& params, const RowPlaces& rows, int h, int lane) {
  const int64_t row = static_cast<int64_t>(rows.token[h]) * params.num_heads_q + rows.head[h];
  return params.out_float + row * kDim + 2 * (lane % 4);
}

// Adds the float32 outputs that are there. For whole warps.
template <int kDim>
__device__ __forceinline__ void add_float_rows(const ForwardKernelParams& params, float (&out)[kDim / 2], const RowPlaces& rows,
                                               int lane, const RowResult (&results)[2]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    // What stands beside an lse of -infinity has no meaning, and may be NaN.
    const bool adds = rows.token[h] < params.total_q && results[h].old_factor > 0.0f;
    const float* source = float_row<kDim>(params, rows, h, lane);
#pragma unroll
    for (int i = 0; i < kDim / 8; ++i) {
      if (adds) {
        const float2 before = *reinterpret_cast<const float2*>(source + 8 * i);
        out[4 * i + 2 * h] += results[h].old_factor * before.x;
        out[4 * i + 2 * h + 1] += results[h].old_factor * before.y;
      }
      // Otherwise all loads would be under way at a time, which takes more registers than there are.
      if (i % 8 == 7) __syncwarp();
    }
  }
}

// float32 outputs go from registers to memory.
template <int kDim>
__device__ __forceinline__ void store_float_rows(const ForwardKernelParams& params, const float (&out)[kDim / 2],
                                                 const RowPlaces& rows, int lane) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (rows.token[h] >= params.total_q) continue;
    float* target = float_row<kDim>(params, rows, h, lane);
#pragma unroll
    for (int i = 0; i < kDim / 8; ++i) {
      *reinterpret_cast<float2*>(target + 8 * i) = make_float2(out[4 * i + 2 * h], out[4 * i + 2 * h + 1]);
    }
  }
}

// A row without keys, which its four threads write together: zeros, or what is left of the output that is there.
template <int kDim>
__device__ __forceinline__ void store_empty_row(const ForwardKernelParams& params, int token, int head, int lane,
                                                float old_factor) {
  const int64_t row = static_cast<int64_t>(token) * params.num_heads_q + head;
  if (params.out_float != nullptr) {
    if (old_factor == 1.0f) return;
    float4* target = reinterpret_cast<float4*>(params.out_float + row * kDim);
    for (int i = lane % 4; i < kDim / 4; i += 4) {
      float4 value = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (old_factor > 0.0f) {
        const float4 before = target[i];
        value = make_float4(old_factor * before.x, old_factor * before.y, old_factor * before.z, old_factor * before.w);
      }
      target[i] = value;
    }
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
