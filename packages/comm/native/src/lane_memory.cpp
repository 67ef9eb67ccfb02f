#include "lane_memory.hpp"

#include "segment.hpp"

namespace magi::comm {

namespace {

constexpr int64_t kCacheLine = 64;
constexpr int64_t round_to_line(int64_t bytes) { return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

}  // namespace

int64_t LaneLayout::header_bytes() const {
  return round_to_line(static_cast<int64_t>(sizeof(Header)) + 2 * members * static_cast<int64_t>(sizeof(PairSizes)));
}

int64_t LaneLayout::queue_bytes() const {
  return round_to_line(static_cast<int64_t>(sizeof(PacketQueue)) + slots * static_cast<int64_t>(sizeof(Packet)));
}

int64_t LaneLayout::control_bytes() const {
  return round_to_page(kCacheLine + members * 2 * header_bytes() + int64_t{writers} * slots * kCacheLine +
                       int64_t{writers} * members * queue_bytes());
}

Header& LaneMemory::header(int member, uint64_t sequence) const {
  const int64_t index = member * 2 + static_cast<int64_t>(sequence % 2);
  return *reinterpret_cast<Header*>(control_ + kCacheLine + index * layout_.header_bytes());
}

std::atomic<uint32_t>& LaneMemory::pending(int writer, int slot) const {
  const int64_t states = kCacheLine + layout_.members * 2 * layout_.header_bytes();
  return *reinterpret_cast<std::atomic<uint32_t>*>(control_ + states +
                                                   (int64_t{writer} * layout_.slots + slot) * kCacheLine);
}

PacketQueue& LaneMemory::queue(int writer, int reader) const {
  const int64_t queues = kCacheLine + layout_.members * 2 * layout_.header_bytes() +
                         int64_t{layout_.writers} * layout_.slots * kCacheLine;
  const int64_t index = int64_t{writer} * layout_.members + reader;
  return *reinterpret_cast<PacketQueue*>(control_ + queues + index * layout_.queue_bytes());
}

}  // namespace magi::comm
