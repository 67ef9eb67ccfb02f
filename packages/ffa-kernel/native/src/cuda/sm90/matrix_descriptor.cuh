// How matrix products are told of operands in shared memory. See the PTX ISA, "Matrix Descriptor Format".
#ifndef MAGI_FFA_SM90_MATRIX_DESCRIPTOR_CUH
#define MAGI_FFA_SM90_MATRIX_DESCRIPTOR_CUH

#include "../common/ptx.cuh"

namespace magi::ffa::sm90 {

// Descriptor of a tile in 128-byte swizzled panels of 64 elements: panel_bytes apart, each a multiple of 1024 bytes. For
// K-major operands panel_bytes is ignored. Advance by adding (bytes >> 4).
__device__ __forceinline__ uint64_t matrix_descriptor(const void* smem, uint32_t panel_bytes) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kRowGroup = uint64_t{1024 >> 4} << 32;
  const uint64_t address = (smem_address(smem) & 0x3FFFF) >> 4;
  return kSwizzle128 | kRowGroup | (uint64_t{panel_bytes >> 4} << 16) | address;
}

// A descriptor further on. Offsets never leave the low word, and 32-bit sums are cheaper.
__device__ __forceinline__ uint64_t advance_descriptor(uint64_t descriptor, uint32_t bytes) {
  const uint32_t low = static_cast<uint32_t>(descriptor) + (bytes >> 4);
  return (descriptor & 0xffffffff00000000ull) | low;
}

// The same, in such a way that the compiler knows it to be alike in all lanes: then one addition advances it, instead of a copy
// into uniform registers for each product.
__device__ __forceinline__ uint64_t uniform_descriptor(uint64_t descriptor) {
  const uint32_t low = __shfl_sync(0xffffffff, static_cast<uint32_t>(descriptor), 0);
  return (descriptor & 0xffffffff00000000ull) | low;
}

}  // namespace magi::ffa::sm90

#endif
