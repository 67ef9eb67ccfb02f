// The memory through which the members of a lane talk.
//
// Before data moves, each member posts a header on its board: what it calls, and how much it sends to and wants from each
// other. Data goes through slots: a sender copies a packet into one of its slots once, whatever the number of readers, and
// queues it for each of them; the last reader frees the slot. Two headers a member suffice, since nobody posts the
// next but one before all have read this one.
#ifndef MAGI_COMM_LANE_MEMORY_HPP
#define MAGI_COMM_LANE_MEMORY_HPP

#include "header.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace magi::comm {

constexpr int64_t kSlotBytes = 64 << 10;

struct LaneControl {
  // How the first member that gave up on the lane did so: status << 32 | its rank + 1 << 16 | a missing rank + 1.
  std::atomic<uint64_t> aborted;
  // Members that have closed the group; the last one gives its memory back.
  std::atomic<uint32_t> closed;
};

struct Packet {
  uint32_t slot;
  uint32_t bytes;
};

struct PacketQueue {
  std::atomic<uint64_t> head;  // packets queued so far
  Packet* packets() { return reinterpret_cast<Packet*>(this + 1); }
};

// Sizes of a lane's memory. The first `writers` members can send.
struct LaneLayout {
  int members;
  int writers;
  int slots;  // of one writer

  int64_t header_bytes() const;
  int64_t queue_bytes() const;
  int64_t control_bytes() const;  // whole pages
  int64_t ring_bytes() const { return slots * kSlotBytes; }
  int64_t rings_bytes() const { return writers * ring_bytes(); }
};

// Typed access to it. Zeroed memory is a valid beginning.
class LaneMemory {
 public:
  LaneMemory(const LaneLayout& layout, char* control, char* rings) : layout_(layout), control_(control), rings_(rings) {}

  const LaneLayout& layout() const { return layout_; }
  LaneControl& control() const { return *reinterpret_cast<LaneControl*>(control_); }
  Header& header(int member, uint64_t sequence) const;
  PacketQueue& queue(int writer, int reader) const;
  // Readers that have not read a slot yet.
  std::atomic<uint32_t>& pending(int writer, int slot) const;
  char* slot(int writer, int slot) const { return rings_ + (int64_t{writer} * layout_.slots + slot) * kSlotBytes; }

 private:
  LaneLayout layout_;
  char* control_;
  char* rings_;
};

}  // namespace magi::comm

#endif
