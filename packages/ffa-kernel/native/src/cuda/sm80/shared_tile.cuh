// A tile of 16-bit elements in shared memory, swizzled so that eight rows of one column never share a bank.
#ifndef MAGI_FFA_SM80_SHARED_TILE_CUH
#define MAGI_FFA_SM80_SHARED_TILE_CUH

#include "mma.cuh"

namespace magi::ffa::sm80 {

// kWidth elements a row, a multiple of 16. Columns are counted in chunks of eight elements, 16 bytes.
template <int kRows_, int kWidth_>
struct SharedTile {
  static constexpr int kRows = kRows_;
  static constexpr int kWidth = kWidth_;
  static constexpr int kChunks = kWidth / 8;
  static constexpr int kBytes = kRows * kWidth * 2;

  uint32_t base;  // address in shared memory, a multiple of 128

  __device__ __forceinline__ uint32_t chunk_address(int row, int chunk) const {
    return base + (row * kChunks + swizzled(row, chunk)) * 16;
  }

  // Rows [row, row + 16) and chunks [chunk, chunk + 2) as the a operand of mma: rows of the tile are rows of a.
  __device__ __forceinline__ void load_a(uint32_t (&a)[4], int row, int chunk, int lane) const {
    load_matrices(a, chunk_address(row + (lane & 15), chunk + (lane >> 4)));
  }
  // The same as a, transposed: rows [k, k + 16) of the tile are the k of a, chunks [chunk, chunk + 2) its rows.
  __device__ __forceinline__ void load_a_transposed(uint32_t (&a)[4], int k, int chunk, int lane) const {
    load_matrices_transposed(a, chunk_address(k + (lane & 7) + (lane >> 4) * 8, chunk + (lane >> 3 & 1)));
  }
  // Two b operands, b[0..1] and b[2..3]: rows [n, n + 16) of the tile are columns of b, chunks [chunk, chunk + 2) its k.
  __device__ __forceinline__ void load_b(uint32_t (&b)[4], int n, int chunk, int lane) const {
    load_matrices(b, chunk_address(n + (lane & 7) + (lane >> 4) * 8, chunk + (lane >> 3 & 1)));
  }
  // Two b operands: rows [k, k + 16) of the tile are the k of b, chunks [chunk, chunk + 2) its columns.
  __device__ __forceinline__ void load_b_transposed(uint32_t (&b)[4], int k, int chunk, int lane) const {
    load_matrices_transposed(b, chunk_address(k + (lane & 15), chunk + (lane >> 4)));
  }

  // Starts to copy all rows, by all threads of the block. source(row): its elements in global memory, or null for zeros; chunks
  // from num_chunks on become zeros, too.
  template <int kThreads, typename Source>
  __device__ __forceinline__ void load_async(int num_chunks, const void* any, Source&& source) const {
    constexpr int kCopies = (kRows * kChunks + kThreads - 1) / kThreads;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      int row, chunk;
      if constexpr (kThreads % kChunks == 0) {
        row = threadIdx.x / kChunks + i * (kThreads / kChunks);
        chunk = threadIdx.x % kChunks;
      } else {
        row = (threadIdx.x + i * kThreads) / kChunks;
        chunk = (threadIdx.x + i * kThreads) % kChunks;
      }
      if (kRows * kChunks % kThreads != 0 && row >= kRows) break;
      const char* from = static_cast<const char*>(source(row));
      const bool valid = from != nullptr && chunk < num_chunks;
      // Zero bytes are read where it is not valid, but the address must be one.
      copy_16_async(chunk_address(row, chunk), valid ? from + chunk * 16 : any, valid);
    }
  }

 private:
  // Rows of 32 and 64 bytes share the 128 bytes of all banks, and rows of 192 bytes begin in the middle of them every other time.
  __device__ __forceinline__ static int swizzled(int row, int chunk) {
    if constexpr (kChunks % 8 == 0) return chunk ^ (row & 7);
    if constexpr (kChunks % 4 == 0) return chunk ^ (row >> 1 & 3);
    return chunk ^ (row >> 2 & 1);
  }
};

}  // namespace magi::ffa::sm80

#endif
