#include "shm_exchange.hpp"

#include <magi/status.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace magi::comm {

namespace {

// How far a member writes, or reads one source, before it looks at the others again.
constexpr int kPacketsPerTurn = 8;

}  // namespace

ShmExchange::ShmExchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length, int members,
                         int member, double timeout_seconds)
    : Exchange(std::move(call), std::move(after), plan, plan_length, members, member, timeout_seconds),
      touched_(static_cast<size_t>(members)) {}

Step ShmExchange::step(Lane& base) {
  auto& lane = static_cast<ShmLane&>(base);
  if (phase_ == Phase::kBegin) {
    post_header(lane);
    start_clock();
    phase_ = Phase::kHeaders;
  }
  if (phase_ == Phase::kHeaders) {
    for (int member = 0; member < lane.size(); ++member) {
      if (!has_header(lane, member)) return Step::kWaiting;
    }
    // Whether it fails or not, it does so on every member.
    const uint64_t sequence = lane.sequence;
    lane.sequence = sequence + 1;
    std::vector<Header*> headers;
    for (int member = 0; member < lane.size(); ++member) headers.push_back(&lane.memory().header(member, sequence));
    verify(lane, headers);
    phase_ = Phase::kData;
    copy_own();
  }
  bool has_moved = false;
  std::fill(touched_.begin(), touched_.end(), false);
  for (int i = 0; i < kPacketsPerTurn && write_packet(lane); ++i) has_moved = true;
  for (int source = 0; source < lane.size(); ++source) {
    for (int i = 0; i < kPacketsPerTurn && read_packet(lane, source); ++i) has_moved = true;
  }
  for (int member = 0; member < lane.size(); ++member) {
    if (touched_[static_cast<size_t>(member)]) lane.ring(member);
  }
  if (!has_more_to_send() && remaining() == 0) return Step::kFinished;
  return has_moved ? Step::kMoved : Step::kWaiting;
}

void ShmExchange::post_header(ShmLane& lane) {
  lane.allocate_control();
  Header& header = lane.memory().header(lane.member(), lane.sequence);
  fill_header(header, lane.size());
  try {
    if (has_more_to_send()) lane.allocate_ring();
  } catch (const Error& error) {
    header.status = error.status();
    std::snprintf(header.problem, sizeof(header.problem), "%s", error.what());
  }
  header.sequence.store(lane.sequence, std::memory_order_release);
  for (int member = 0; member < lane.size(); ++member) lane.ring(member);
}

bool ShmExchange::has_header(const ShmLane& lane, int member) const {
  return lane.memory().header(member, lane.sequence).sequence.load(std::memory_order_acquire) == lane.sequence;
}

bool ShmExchange::write_packet(ShmLane& lane) {
  if (!has_more_to_send()) return false;
  const LaneMemory& memory = lane.memory();
  const int me = lane.member();
  std::atomic<uint32_t>& pending = memory.pending(me, lane.next_slot);
  if (pending.load(std::memory_order_acquire) != 0) return false;

  const std::vector<int>& destinations = next_destinations();
  const int64_t filled = pack(memory.slot(me, lane.next_slot), kSlotBytes);
  pending.store(static_cast<uint32_t>(destinations.size()), std::memory_order_relaxed);
  const Packet packet{static_cast<uint32_t>(lane.next_slot), static_cast<uint32_t>(filled)};
  for (const int destination : destinations) {
    uint64_t& queued = lane.queued[static_cast<size_t>(destination)];
    PacketQueue& queue = memory.queue(me, destination);
    queue.packets()[queued % static_cast<uint64_t>(memory.layout().slots)] = packet;
    queue.head.store(++queued, std::memory_order_release);
    touched_[static_cast<size_t>(destination)] = true;
  }
  lane.next_slot = (lane.next_slot + 1) % memory.layout().slots;
  lane.bytes_written.fetch_add(filled, std::memory_order_relaxed);
  return true;
}

bool ShmExchange::read_packet(ShmLane& lane, int source) {
  if (remaining(source) == 0) return false;
  const LaneMemory& memory = lane.memory();
  uint64_t& read = lane.read[static_cast<size_t>(source)];
  PacketQueue& queue = memory.queue(source, lane.member());
  if (queue.head.load(std::memory_order_acquire) == read) return false;

  const Packet packet = queue.packets()[read % static_cast<uint64_t>(memory.layout().slots)];
  if (static_cast<int>(packet.slot) >= memory.layout().slots || packet.bytes > remaining(source)) {
    fail(MAGI_INTERNAL, "a packet of %u bytes in slot %u does not fit the operation", packet.bytes, packet.slot);
  }
  unpack(source, memory.slot(source, static_cast<int>(packet.slot)), packet.bytes);
  ++read;
  if (memory.pending(source, static_cast<int>(packet.slot)).fetch_sub(1, std::memory_order_acq_rel) == 1) {
    touched_[static_cast<size_t>(source)] = true;
  }
  return true;
}

std::vector<int> ShmExchange::awaited(Lane& base) const {
  const auto& lane = static_cast<const ShmLane&>(base);
  std::vector<int> members;
  if (phase_ == Phase::kHeaders) {
    for (int member = 0; member < lane.size(); ++member) {
      if (!has_header(lane, member)) members.push_back(member);
    }
    return members;
  }
  std::vector<bool> is_awaited(static_cast<size_t>(lane.size()));
  for (int source = 0; source < lane.size(); ++source) is_awaited[static_cast<size_t>(source)] = remaining(source) > 0;
  if (has_more_to_send()) {
    for (const int member : next_destinations()) is_awaited[static_cast<size_t>(member)] = true;
  }
  for (int member = 0; member < lane.size(); ++member) {
    if (is_awaited[static_cast<size_t>(member)]) members.push_back(member);
  }
  return members;
}

}  // namespace magi::comm
