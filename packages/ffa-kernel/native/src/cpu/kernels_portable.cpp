#define MAGI_ISA portable
#define MAGI_SIMD "simd_portable.hpp"
#include "kernels.inl.hpp"

namespace magi::ffa {
const Kernels* portable_kernels() { return portable::kernels_of<portable::Float32Units>(); }
}  // namespace magi::ffa
