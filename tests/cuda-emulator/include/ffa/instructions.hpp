// The instructions of the attention kernels: defines what common/ptx.cuh, sm80/mma.cuh, sm90/ptx.cuh and sm90/wgmma.cuh declare, and
// their include guards, so that the emulated ones are taken.
#pragma once

#define MAGI_FFA_CUDA_PTX_CUH
#define MAGI_FFA_SM80_MMA_CUH
#define MAGI_FFA_SM90_PTX_CUH
#define MAGI_FFA_SM90_WGMMA_CUH

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "emulator/asynchronous.hpp"
#include "emulator/language.hpp"
#include "emulator/memory_barrier.hpp"
#include "emulator/numbers.hpp"

namespace magi::ffa {

// ---- common/ptx.cuh ----

inline float exp2_approx(float x) {
  const float result = std::exp2(x);
  return std::fpclassify(result) == FP_SUBNORMAL ? 0.0f : result;
}

template <typename Element>
uint16_t element_bits(float value) {
  return std::is_same_v<Element, __nv_bfloat16> ? emulator::to_bfloat16(value) : emulator::to_half(value);
}
template <typename Element>
float element_value(uint32_t bits) {
  const auto low = static_cast<uint16_t>(bits);
  return std::is_same_v<Element, __nv_bfloat16> ? emulator::from_bfloat16(low) : emulator::from_half(low);
}
template <typename Element>
uint32_t pack_pair(float first, float second) {
  return element_bits<Element>(first) | static_cast<uint32_t>(element_bits<Element>(second)) << 16;
}

inline void make_opaque(int32_t&) {}
inline char* dynamic_shared() { return emulator::block().shared(); }
inline uint32_t smem_address(const void* pointer) { return emulator::block().shared_address(pointer); }
inline float2 load_shared_pair(uint32_t address) {
  float2 pair;
  std::memcpy(&pair, emulator::block().at_shared(address, sizeof(pair)), sizeof(pair));
  return pair;
}
inline void store_shared(uint32_t address, uint32_t word) {
  std::memcpy(emulator::block().at_shared(address, sizeof(word)), &word, sizeof(word));
}
inline void add_pair(float* place, float x, float y) {
  atomicAdd(place, x);
  atomicAdd(place + 1, y);
}

}  // namespace magi::ffa

namespace magi::ffa::sm80 {

// ---- sm80/mma.cuh ----

template <typename Element>
void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Operands {
    uint32_t a[4], b[2];
  };
  const auto all = emulator::exchange(emulator::kAllLanes, Operands{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  const int lane = emulator::block().lane();
  for (int quarter = 0; quarter < 4; ++quarter) {  // of k: the lanes of a row hold two neighbours each, in both halves
    const Operands row = all[lane / 4 * 4 + quarter];
    const Operands columns[2] = {all[lane % 4 * 8 + quarter], all[lane % 4 * 8 + 4 + quarter]};
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) {
        const uint32_t x = row.a[2 * half + i / 2], y = columns[i % 2].b[half];
        d[i] += element_value<Element>(x) * element_value<Element>(y);
        d[i] += element_value<Element>(x >> 16) * element_value<Element>(y >> 16);
      }
    }
  }
}

inline void load_matrices(uint32_t (&m)[4], uint32_t address) {
  const auto rows = emulator::exchange(emulator::kAllLanes, address);
  const int lane = emulator::block().lane();
  for (int j = 0; j < 4; ++j) {
    std::memcpy(&m[j], emulator::block().at_shared(rows[8 * j + lane / 4] + 4 * static_cast<uint32_t>(lane % 4), 4), 4);
  }
}
inline void load_matrices_transposed(uint32_t (&m)[4], uint32_t address) {
  const auto rows = emulator::exchange(emulator::kAllLanes, address);
  const int lane = emulator::block().lane();
  for (int j = 0; j < 4; ++j) {
    uint16_t pair[2];
    for (int i = 0; i < 2; ++i) {
      const uint32_t row = rows[8 * j + 2 * (lane % 4) + i];
      std::memcpy(&pair[i], emulator::block().at_shared(row + 2 * static_cast<uint32_t>(lane / 4), 2), 2);
    }
    m[j] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
  }
}

inline void copy_16_async(uint32_t to, const void* from, bool valid) { emulator::copy_async(to, from, 16, valid); }
inline void copy_4_async(uint32_t to, const void* from, bool valid) { emulator::copy_async(to, from, 4, valid); }
inline void commit_copies() { emulator::commit_copies(); }
template <int kPending>
void wait_copies() {
  emulator::wait_copies(kPending);
}

}  // namespace magi::ffa::sm80

namespace magi::ffa::sm90 {

// ---- sm90/ptx.cuh ----

// .sync: all lanes wait for each other, too.
inline bool elect_one() {
  emulator::exchange(emulator::kAllLanes, 0);
  return emulator::block().lane() == 0;
}

inline void barrier_init(uint64_t* barrier, uint32_t count) { emulator::MemoryBarrier::init(barrier, count); }
inline void fence_barrier_init() {}
inline void barrier_arrive(uint64_t* barrier) { emulator::MemoryBarrier::arrive(barrier, 0); }
inline void barrier_arrive_expect(uint64_t* barrier, uint32_t bytes) { emulator::MemoryBarrier::arrive(barrier, bytes); }
inline bool barrier_test(uint64_t* barrier, uint32_t parity) { return emulator::MemoryBarrier::has_completed(barrier, parity); }
inline void barrier_wait(uint64_t* barrier, uint32_t parity) {
  emulator::block().wait_until("mbarrier at", smem_address(barrier), false,
                               [&] { return emulator::MemoryBarrier::has_completed(barrier, parity); });
}

inline void named_barrier_sync(int id, int threads) { emulator::sync_threads(id, threads, false); }
inline void named_barrier_arrive(int id, int threads) { emulator::arrive(id, threads); }
template <int kId, int kThreads>
bool named_barrier_any(bool value) {
  return emulator::sync_threads(kId, kThreads, value);
}

constexpr uint64_t kEvictNormal = 0, kEvictFirst = 0, kEvictLast = 0;

inline void prefetch_tensor_map(const CUtensorMap*) {}
template <typename... Coordinates>
void tma_load(void* smem, const CUtensorMap* map, uint64_t* barrier, uint64_t, Coordinates... coordinates) {
  emulator::load_tensor(smem, map, barrier, coordinates...);
}
template <typename... Coordinates>
void tma_store(const CUtensorMap* map, const void* smem, Coordinates... coordinates) {
  emulator::store_tensor(map, smem, coordinates...);
}
inline void bulk_load(void* smem, const void* global, uint32_t bytes, uint64_t* barrier) {
  emulator::load_bulk(smem, global, bytes, barrier);
}
inline void bulk_reduce_add(float* global, const float* smem, uint32_t bytes) { emulator::add_bulk(global, smem, bytes); }
inline void bulk_commit() { emulator::commit_bulk(); }
template <int kPending>
void bulk_wait_read() {
  emulator::wait_bulk(kPending);
}
template <int kPending>
void bulk_wait() {
  emulator::wait_bulk(kPending);
}
inline void fence_async_proxy() { emulator::block().mark_fence(); }
inline void fence_async_proxy_global() {}

inline void wgmma_fence() {}
inline void wgmma_commit() { emulator::commit_products(); }
template <int kPending>
void wgmma_wait() {
  emulator::wait_products(kPending);
}
template <typename Registers>
void pin_registers(Registers&) {}
template <int N>
void forget_registers(float (&registers)[N]) {
  for (float& value : registers) value = NAN;
}

inline void wait_for_count(const int32_t* counter, int32_t value) {
  emulator::block().wait_until("the turn", value, true, [&] { return __atomic_load_n(counter, __ATOMIC_ACQUIRE) == value; });
}
inline void count_up(int32_t* counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELEASE); }
inline void add_to_global(float* target, float a, float b, float c, float d) {
  for (const float value : {a, b, c, d}) atomicAdd(target++, value);
}
inline void wait_for_previous_kernel() {}
inline void allow_next_kernel() {}

template <int kRegisters>
void take_registers() {}
template <int kRegisters>
void give_registers() {}

inline void store_matrices(uint32_t address, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3) {
  const auto rows = emulator::exchange(emulator::kAllLanes, address);
  const int lane = emulator::block().lane();
  const uint32_t registers[4] = {r0, r1, r2, r3};
  for (int j = 0; j < 4; ++j) {
    const uint32_t place = rows[8 * j + lane / 4] + 4 * static_cast<uint32_t>(lane % 4);
    store_shared(place, registers[j]);
    emulator::block().mark_written(place, 4);
  }
}
inline void store_matrices_transposed(uint32_t address, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3) {
  const auto rows = emulator::exchange(emulator::kAllLanes, address);
  const int lane = emulator::block().lane();
  const uint32_t registers[4] = {r0, r1, r2, r3};
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 2; ++i) {
      const auto element = static_cast<uint16_t>(registers[j] >> (16 * i));
      const uint32_t place = rows[8 * j + 2 * (lane % 4) + i] + 2 * static_cast<uint32_t>(lane / 4);
      std::memcpy(emulator::block().at_shared(place, 2), &element, 2);
      emulator::block().mark_written(place, 2);
    }
  }
}

// ---- sm90/wgmma.cuh ----

template <typename T, int N, int kTransA, int kTransB>
void wgmma_ss(float (&d)[N / 2], uint64_t a, uint64_t b, bool add) {
  emulator::issue_product(N, std::is_same_v<T, __nv_bfloat16>, kTransA != 0, kTransB != 0, d, a, nullptr, b, add);
}
template <typename T, int N, int kTransB>
void wgmma_rs(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
  emulator::issue_product(N, std::is_same_v<T, __nv_bfloat16>, false, kTransB != 0, d, 0, a, b, add);
}

}  // namespace magi::ffa::sm90
