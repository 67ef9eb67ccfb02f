#include "job.hpp"

#if defined(MAGI_FFA_AVX512)
#define MAGI_ISA avx512
#define MAGI_SIMD "simd_avx512.hpp"
#include "kernels.inl.hpp"

namespace magi::ffa {
const Kernels* avx512_kernels() { return avx512::kernels_of<avx512::Float32Units>(); }
}  // namespace magi::ffa
#else
namespace magi::ffa {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace magi::ffa
#endif
