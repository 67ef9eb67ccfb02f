// Instructions of all GPUs that CUDA C++ has no names for, and a block's dynamic shared memory. See the PTX ISA for each instruction.
// Ampere's and Hopper's own are in sm80/mma.cuh, sm90/ptx.cuh and sm90/wgmma.cuh; there is no inline assembly elsewhere.
#ifndef MAGI_FFA_CUDA_PTX_CUH
#define MAGI_FFA_CUDA_PTX_CUH

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace magi::ffa {

// ---- arithmetic ----

__device__ __forceinline__ float exp2_approx(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Two neighbours in memory as one register, the first in the low half.
template <typename Element>
__device__ __forceinline__ uint32_t pack_pair(float first, float second);
template <>
__device__ __forceinline__ uint32_t pack_pair<__nv_bfloat16>(float first, float second) {
  uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(second), "f"(first));
  return result;
}
template <>
__device__ __forceinline__ uint32_t pack_pair<__half>(float first, float second) {
  uint32_t result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(second), "f"(first));
  return result;
}

// Keeps the compiler from knowing what the register holds.
__device__ __forceinline__ void make_opaque(int32_t& value) { asm volatile("" : "+r"(value)); }

// ---- shared memory ----

// The dynamic shared memory of the block.
__device__ __forceinline__ char* dynamic_shared() {
  extern __shared__ __align__(128) char bytes[];
  return bytes;
}

__device__ __forceinline__ uint32_t smem_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ float2 load_shared_pair(uint32_t address) {
  float2 pair;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(pair.x), "=f"(pair.y) : "r"(address) : "memory");
  return pair;
}

__device__ __forceinline__ void store_shared(uint32_t address, uint32_t word) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(word) : "memory");
}

// ---- sums in global memory, in no order ----

__device__ __forceinline__ void add_pair(float* place, float x, float y) {
#if __CUDA_ARCH__ >= 900
  asm volatile("red.global.add.v2.f32 [%0], {%1, %2};" ::"l"(place), "f"(x), "f"(y) : "memory");
#else
  atomicAdd(place, x);
  atomicAdd(place + 1, y);
#endif
}

}  // namespace magi::ffa

#endif
