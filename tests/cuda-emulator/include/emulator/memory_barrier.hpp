// mbarrier: counts arrivals and bytes. Its state is in the 64 bits that the hardware has for it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "emulator/block.hpp"

namespace emulator {

class MemoryBarrier {
 public:
  static void init(uint64_t* place, uint32_t count) {
    block().shared_address(place);
    store(place, {count, count, 0, 0});
  }
  static void arrive(uint64_t* place, uint32_t bytes) {
    State state = load(place);
    if (state.pending == 0) throw KernelError("mbarrier: more arrivals than it was made for");
    state.pending -= 1;
    state.bytes += static_cast<int32_t>(bytes);
    store(place, completed(state));
  }
  static void complete_bytes(uint64_t* place, uint32_t bytes) {
    State state = load(place);
    state.bytes -= static_cast<int32_t>(bytes);
    store(place, completed(state));
  }
  static bool has_completed(const uint64_t* place, uint32_t parity) { return load(place).phase != parity; }

 private:
  struct State {
    uint32_t pending;
    uint32_t count;
    uint32_t phase;
    int32_t bytes;
  };
  static constexpr uint64_t kMark = 0b10;  // memory that was never initialised has all bits set

  static State completed(State state) {
    if (state.pending > 0 || state.bytes != 0) return state;
    return {state.count, state.count, state.phase ^ 1, 0};
  }
  static State load(const uint64_t* place) {
    uint64_t bits;
    std::memcpy(&bits, place, 8);
    if ((bits & 0b11) != kMark) throw KernelError("mbarrier: used before it was initialised, or overwritten");
    State state;
    state.phase = static_cast<uint32_t>(bits >> 2 & 1);
    state.pending = static_cast<uint32_t>(bits >> 3 & 0xffff);
    state.count = static_cast<uint32_t>(bits >> 19 & 0xffff);
    state.bytes = static_cast<int32_t>(static_cast<int64_t>(bits) >> 35);
    return state;
  }
  static void store(uint64_t* place, const State& state) {
    const uint64_t bits = kMark | uint64_t{state.phase} << 2 | uint64_t{state.pending} << 3 | uint64_t{state.count} << 19 |
                          static_cast<uint64_t>(static_cast<int64_t>(state.bytes)) << 35;
    std::memcpy(place, &bits, 8);
  }
};

}  // namespace emulator
