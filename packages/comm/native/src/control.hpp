// What the ranks of a job share for its whole life: who is there, and how to wake them.
#ifndef MAGI_COMM_CONTROL_HPP
#define MAGI_COMM_CONTROL_HPP

#include "doorbell.hpp"

#include <magi/comm.h>

namespace magi::comm {

enum class RankState : uint32_t { kPresent = 0, kLeft = 1, kLost = 2 };

struct alignas(64) RankControl {
  Doorbell doorbell;
  std::atomic<RankState> state;
  // The id of its process, and the namespace in which that id means something.
  std::atomic<int32_t> process;
  std::atomic<uint64_t> process_namespace;
};

// Zeroed memory is a valid block.
struct Control {
  RankControl ranks[MAGI_COMM_MAX_RANKS];

  void ring_all(int world_size) {
    for (int rank = 0; rank < world_size; ++rank) ranks[rank].doorbell.ring();
  }

  // A rank that said goodbye is not lost.
  void mark_lost(int rank, int world_size) {
    RankState present = RankState::kPresent;
    if (ranks[rank].state.compare_exchange_strong(present, RankState::kLost)) ring_all(world_size);
  }
};

}  // namespace magi::comm

#endif
