// Where the shared memory of a kernel with swizzled tiles lies.
#ifndef MAGI_FFA_SM90_SHARED_STORAGE_CUH
#define MAGI_FFA_SM90_SHARED_STORAGE_CUH

#include "../common/ptx.cuh"

namespace magi::ffa::sm90 {

// The dynamic shared memory of the block as a Storage, which is aligned to 1024 bytes. shared_bytes: what to ask for.
template <typename Storage>
__device__ __forceinline__ Storage& shared_storage() {
  static_assert(alignof(Storage) == 1024, "swizzled tiles");
  char* memory = dynamic_shared();
  return *reinterpret_cast<Storage*>(memory + ((1024 - (smem_address(memory) & 1023)) & 1023));
}
template <typename Storage>
constexpr int shared_bytes() {
  constexpr int kBytes = sizeof(Storage) + 1024;
  static_assert(kBytes <= 232448, "a block has 227 KB of shared memory");
  return kBytes;
}

}  // namespace magi::ffa::sm90

#endif
