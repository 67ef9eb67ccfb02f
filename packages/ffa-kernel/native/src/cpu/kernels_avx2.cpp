#include "job.hpp"

#if defined(MAGI_FFA_AVX2)
#define MAGI_ISA avx2
#define MAGI_SIMD "simd_avx2.hpp"
#include "kernels.inl.hpp"

namespace magi::ffa {
const Kernels* avx2_kernels() { return avx2::kernels_of<avx2::Float32Units>(); }
}  // namespace magi::ffa
#else
namespace magi::ffa {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace magi::ffa
#endif
