// The lanes of one warp, as the planner's algorithms see them.
#ifndef MAGI_FFA_CUDA_PLAN_WARP_CUH
#define MAGI_FFA_CUDA_PLAN_WARP_CUH

#include <cstdint>

namespace magi::ffa::plan {

struct DeviceWarp {
  static constexpr int32_t kSize = 32;
  static constexpr uint32_t kAll = 0xffffffffu;

  static __device__ __forceinline__ int32_t lane() { return static_cast<int32_t>(threadIdx.x % kSize); }
  static __device__ __forceinline__ int32_t min(int32_t value) { return __reduce_min_sync(kAll, value); }
  static __device__ __forceinline__ int32_t max(int32_t value) { return __reduce_max_sync(kAll, value); }
  static __device__ __forceinline__ uint32_t ballot(bool vote) { return __ballot_sync(kAll, vote); }
  static __device__ __forceinline__ int32_t count(uint32_t votes) { return __popc(votes); }
  // How many lanes before this one voted.
  static __device__ __forceinline__ int32_t rank(uint32_t votes) { return __popc(votes & ((1u << lane()) - 1)); }
  static __device__ __forceinline__ void sync() { __syncwarp(); }

  // Sum over the lanes up to this one.
  static __device__ __forceinline__ int64_t scan(int64_t value) {
    for (int32_t step = 1; step < kSize; step *= 2) {
      const int64_t before = __shfl_up_sync(kAll, value, step);
      if (lane() >= step) value += before;
    }
    return value;
  }
  static __device__ __forceinline__ int64_t sum(int64_t value) {
    for (int32_t step = kSize / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAll, value, step);
    return value;
  }
};

}  // namespace magi::ffa::plan

#endif
