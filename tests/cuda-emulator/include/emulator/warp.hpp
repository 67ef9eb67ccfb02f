// What threads do together: exchanges within a warp, barriers within a block.
#pragma once

#include <cstdint>
#include <cstring>

#include "emulator/block.hpp"

namespace emulator {

constexpr uint32_t kAllLanes = 0xffffffffu;

// Each lane of the mask gives a value and gets those of all. Until the next exchange they are in Warp::taken.
inline const char (&exchange_bytes(uint32_t mask, const void* value, size_t bytes))[kWarpSize][Warp::kBytes] {
  Warp& warp = block().warp();
  const int lane = block().lane();
  if ((mask >> lane & 1) == 0) throw KernelError("a lane that is not in the mask of its warp's exchange");
  if ((warp.arrived >> lane & 1) != 0) throw KernelError("a lane takes part in two exchanges of its warp");
  std::memcpy(warp.given[lane], value, bytes);
  warp.arrived |= 1u << lane;
  if ((warp.arrived & mask) == mask) {
    warp.arrived &= ~mask;
    for (int i = 0; i < kWarpSize; ++i) {
      if ((mask >> i & 1) == 0) continue;
      std::memcpy(warp.taken[i], warp.given[i], Warp::kBytes);
      warp.generation[i] += 1;
    }
  } else {
    const uint32_t before = warp.generation[lane];
    block().wait_until("other lanes, mask", mask, false, [&] { return warp.generation[lane] != before; });
  }
  return warp.taken;
}

// The values of all lanes, by their numbers.
template <typename T>
struct LaneValues {
  const char (&bytes)[kWarpSize][Warp::kBytes];
  T operator[](int lane) const {
    T value;
    std::memcpy(&value, bytes[lane], sizeof(T));
    return value;
  }
};
template <typename T>
LaneValues<T> exchange(uint32_t mask, const T& value) {
  static_assert(sizeof(T) <= Warp::kBytes);
  return {exchange_bytes(mask, &value, sizeof(T))};
}

template <typename T, typename Combine>
T reduce(uint32_t mask, T value, Combine combine) {
  const LaneValues<T> values = exchange(mask, value);
  bool first = true;
  T result{};
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    result = first ? values[lane] : combine(result, values[lane]);
    first = false;
  }
  return result;
}

// At a barrier for so many threads.
inline void arrive(int id, int threads, bool vote = false) {
  NamedBarrier& barrier = block().named_barrier(id);
  if (barrier.arrived > 0 && barrier.expected != threads) throw KernelError("threads disagree on the size of a barrier");
  barrier.expected = threads;
  barrier.any |= vote;
  if (++barrier.arrived < threads) return;
  barrier.arrived = 0;
  barrier.last_any = barrier.any;
  barrier.any = false;
  ++barrier.generation;
}

// Likewise, and waits for the others. Whether any of them voted.
inline bool sync_threads(int id, int threads, bool vote) {
  NamedBarrier& barrier = block().named_barrier(id);
  const uint64_t before = barrier.generation;
  arrive(id, threads, vote);
  if (barrier.generation == before) {
    block().wait_until("barrier", id, false, [&] { return barrier.generation != before; });
  }
  return barrier.last_any;
}

}  // namespace emulator

inline void __syncthreads() {
  const dim3& shape = emulator::block().launch().threads;
  emulator::sync_threads(0, static_cast<int>(shape.x * shape.y * shape.z), false);
}
inline void __syncwarp(unsigned mask = emulator::kAllLanes) { emulator::exchange(mask, 0); }

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int = 32) {
  return emulator::exchange(mask, value)[lane & 31];
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int = 32) {
  return emulator::exchange(mask, value)[emulator::block().lane() ^ bits];
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, int step, int = 32) {
  const int lane = emulator::block().lane();
  return emulator::exchange(mask, value)[lane < step ? lane : lane - step];
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, int step, int = 32) {
  const int lane = emulator::block().lane();
  return emulator::exchange(mask, value)[lane + step > 31 ? lane : lane + step];
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  const auto votes = emulator::exchange(mask, vote);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) != 0 && votes[lane]) bits |= 1u << lane;
  }
  return bits;
}
inline int __any_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) == mask; }
template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  const auto values = emulator::exchange(mask, value);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) != 0 && values[lane] == value) bits |= 1u << lane;
  }
  return bits;
}
template <typename T>
T __reduce_add_sync(unsigned mask, T value) {
  return emulator::reduce(mask, value, [](T a, T b) { return static_cast<T>(a + b); });
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value) {
  return emulator::reduce(mask, value, [](T a, T b) { return a < b ? a : b; });
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value) {
  return emulator::reduce(mask, value, [](T a, T b) { return a < b ? b : a; });
}
