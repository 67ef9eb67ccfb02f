// Asynchronous copies: TMA, bulk copies and reductions, cp.async; and the products of warpgroups.
#pragma once

#include <cstdint>
#include <functional>

#include <cuda.h>

namespace emulator {

// Global to shared memory; the barrier counts the bytes.
void load_tensor(void* shared, const CUtensorMap* map, uint64_t* barrier, int c0, int c1, int c2, int c3, int c4 = 0);
void load_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* barrier);

// Shared to global memory, in bulk groups of the thread.
void store_tensor(const CUtensorMap* map, const void* shared, int c0, int c1, int c2, int c3, int c4 = 0);
void add_bulk(float* global, const float* shared, uint32_t bytes);
void commit_bulk();
void wait_bulk(int pending);

// cp.async: zeros if not valid.
void copy_async(uint32_t shared, const void* global, uint32_t bytes, bool valid);
void commit_copies();
void wait_copies(int pending);

// wgmma. a_registers: instead of the descriptor a.
void issue_product(int columns, bool bfloat16, bool transposed_a, bool transposed_b, float* d, uint64_t a,
                   const uint32_t* a_registers, uint64_t b, bool add);
void commit_products();
void wait_products(int pending);

}  // namespace emulator
