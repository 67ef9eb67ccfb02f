// Where the gradients of keys and values go, from the registers of the consumers: a thread has the rows `key` and `key` + 8.
#ifndef MAGI_FFA_SM90_BACKWARD_EPILOGUE_CUH
#define MAGI_FFA_SM90_BACKWARD_EPILOGUE_CUH

#include <cstdint>

#include "backward_config.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

// Rows of [total_k, num_heads_kv, kDim].
template <typename T, int kDim>
__device__ __forceinline__ void store_key_rows(const BackwardKernelParams& params, void* target, int32_t head, int32_t key,
                                               const float (&grad)[kDim / 2], float scale) {
  const int lane_column = 2 * (threadIdx.x % 4);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int32_t row = key + 8 * h;
    if (row >= params.total_k) continue;
    const int64_t at = (int64_t{row} * params.num_heads_kv + head) * kDim + lane_column;
#pragma unroll
    for (int j = 0; j < kDim / 8; ++j) {
      const float x = grad[4 * j + 2 * h] * scale;
      const float y = grad[4 * j + 2 * h + 1] * scale;
      if (params.float_grads) {
        *reinterpret_cast<float2*>(static_cast<float*>(target) + at + 8 * j) = make_float2(x, y);
      } else {
        *reinterpret_cast<uint32_t*>(static_cast<uint16_t*>(target) + at + 8 * j) = pack_pair<T>(x, y);
      }
    }
  }
}

// Of some queries: added to the sums of all. Of all queries: in their final form.
template <typename Config, typename T>
__device__ __forceinline__ void store_key_grads(const BackwardKernelParams& params, const BackwardItem& item, int32_t key,
                                                const float (&grad_k)[Config::kDim / 2],
                                                const float (&grad_v)[Config::kDim / 2]) {
  if (item.is_partial) {
    const int64_t tile = int64_t{item.head} * params.plan.num_tiles + item.tile;
    const int consumer = threadIdx.x / 128 - 1;
    const int64_t at =
        tile * Config::kKeyTileElements + consumer * (Config::kKeyTileElements / Config::kConsumers) + threadIdx.x % 128 * 4;
#pragma unroll
    for (int i = 0; i < Config::kDim / 8; ++i) {
      add_to_global(params.grad_k_sum + at + i * 512, grad_k[4 * i], grad_k[4 * i + 1], grad_k[4 * i + 2], grad_k[4 * i + 3]);
      add_to_global(params.grad_v_sum + at + i * 512, grad_v[4 * i], grad_v[4 * i + 1], grad_v[4 * i + 2], grad_v[4 * i + 3]);
    }
    return;
  }
  store_key_rows<T, Config::kDim>(params, params.grad_k, item.head, key, grad_k, params.softmax_scale);
  store_key_rows<T, Config::kDim>(params, params.grad_v, item.head, key, grad_v, 1.0f);
}

// Keys that no query sees.
template <typename Config, typename T>
__device__ __forceinline__ void store_zeros(const BackwardKernelParams& params, const BackwardItem& item, int32_t key) {
  float zeros[Config::kDim / 2];
#pragma unroll
  for (int i = 0; i < Config::kDim / 2; ++i) zeros[i] = 0.0f;
  store_key_grads<Config, T>(params, item, key, zeros, zeros);
}

}  // namespace magi::ffa::sm90

#endif
