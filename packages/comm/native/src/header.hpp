// What a member tells the others about its part in an exchange before data moves.
#ifndef MAGI_COMM_HEADER_HPP
#define MAGI_COMM_HEADER_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace magi::comm {

// Agreement of a sender and a receiver: bytes, number of pieces, and a hash of the pieces' sizes.
struct PairSizes {
  uint64_t bytes;
  uint32_t pieces;
  uint32_t hash;
};

struct Header {
  std::atomic<uint64_t> sequence;  // the number of the operation, from 1 on; written last
  int32_t status;                  // of the preparation on this member
  int32_t reserved;
  uint64_t call_hash;
  char call[232];
  char problem[256];
  // Followed by PairSizes sends[members], receives[members].
  PairSizes* sends() { return reinterpret_cast<PairSizes*>(this + 1); }
  PairSizes* receives(int members) { return sends() + members; }
};

}  // namespace magi::comm

#endif
