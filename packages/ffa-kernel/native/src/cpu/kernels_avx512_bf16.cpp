#include "job.hpp"

#if defined(MAGI_FFA_AVX512_BF16)
#define MAGI_ISA avx512_bf16
#define MAGI_SIMD "simd_avx512.hpp"
#include "kernels.inl.hpp"

namespace magi::ffa {
const Kernels* avx512_bf16_kernels() { return avx512_bf16::kernels_of<avx512_bf16::Bfloat16Units>(); }
}  // namespace magi::ffa
#else
namespace magi::ffa {
const Kernels* avx512_bf16_kernels() { return nullptr; }
}  // namespace magi::ffa
#endif
