#include "mpi_exchange.hpp"

#include <algorithm>
#include <utility>

namespace magi::comm {

namespace {

constexpr int64_t kPacketBytes = 256 << 10;
constexpr int kOutgoingPackets = 4;

Header* header_in(const std::unique_ptr<MpiTransfer>& transfer) { return reinterpret_cast<Header*>(transfer->data()); }

}  // namespace

MpiExchange::MpiExchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length, int members,
                         int member, double timeout_seconds)
    : Exchange(std::move(call), std::move(after), plan, plan_length, members, member, timeout_seconds),
      incoming_(static_cast<size_t>(members)) {}

Step MpiExchange::step(Lane& base) {
  auto& lane = static_cast<MpiLane&>(base);
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  if (phase_ == Phase::kBegin) {
    start_clock();
    post_headers(lane);
    phase_ = Phase::kHeaders;
  }
  if (phase_ == Phase::kHeaders) {
    if (!have_headers_arrived()) return Step::kWaiting;
    std::vector<Header*> headers;
    for (const auto& transfer : headers_) headers.push_back(header_in(transfer));
    // Whether it fails or not, it does so on every member.
    verify(lane, headers);
    phase_ = Phase::kData;
    copy_own();
  }
  const bool has_sent = send_packets(lane);
  const bool has_received = receive_packets(lane);
  if (is_finished()) return Step::kFinished;
  return has_sent || has_received ? Step::kMoved : Step::kWaiting;
}

void MpiExchange::post_headers(const MpiLane& lane) {
  const int64_t bytes = static_cast<int64_t>(sizeof(Header)) + 2 * lane.size() * static_cast<int64_t>(sizeof(PairSizes));
  for (int member = 0; member < lane.size(); ++member) {
    headers_.push_back(std::make_unique<MpiTransfer>(bytes));
    if (member == lane.member()) continue;
    headers_.back()->receive(bytes, member, lane.comm_rank(member), lane.tag(MpiLane::kHeaderTag), lane.comm());
  }
  MpiTransfer& own = *headers_[static_cast<size_t>(lane.member())];
  fill_header(*reinterpret_cast<Header*>(own.data()), lane.size());
  for (int member = 0; member < lane.size(); ++member) {
    if (member == lane.member()) continue;
    own.send(bytes, member, lane.comm_rank(member), lane.tag(MpiLane::kHeaderTag), lane.comm());
  }
}

bool MpiExchange::have_headers_arrived() {
  bool have_arrived = true;
  for (const auto& transfer : headers_) have_arrived = transfer->test() && have_arrived;
  return have_arrived;
}

bool MpiExchange::send_packets(MpiLane& lane) {
  bool has_moved = false;
  for (int i = 0; i < kOutgoingPackets; ++i) {
    const auto index = static_cast<size_t>(i);
    if (index < outgoing_.size() && !outgoing_[index]->test()) continue;
    if (!has_more_to_send()) continue;
    if (index >= outgoing_.size()) outgoing_.push_back(std::make_unique<MpiTransfer>(kPacketBytes));
    MpiTransfer& packet = *outgoing_[index];
    const std::vector<int>& destinations = next_destinations();
    const int64_t bytes = pack(packet.data(), packet.capacity());
    for (const int member : destinations) {
      packet.send(bytes, member, lane.comm_rank(member), lane.tag(MpiLane::kDataTag), lane.comm());
    }
    lane.bytes_written.fetch_add(bytes, std::memory_order_relaxed);
    has_moved = true;
  }
  return has_moved;
}

bool MpiExchange::receive_packets(const MpiLane& lane) {
  bool has_moved = false;
  for (int source = 0; source < lane.size(); ++source) {
    if (remaining(source) == 0) continue;
    std::unique_ptr<MpiTransfer>& packet = incoming_[static_cast<size_t>(source)];
    if (!packet) {
      packet = std::make_unique<MpiTransfer>(std::min(kPacketBytes, remaining(source)));
    } else if (packet->test()) {
      unpack(source, packet->data(), packet->received_bytes());
      has_moved = true;
    } else {
      continue;
    }
    if (remaining(source) == 0) continue;
    const int64_t most = std::min(packet->capacity(), remaining(source));
    packet->receive(most, source, lane.comm_rank(source), lane.tag(MpiLane::kDataTag), lane.comm());
  }
  return has_moved;
}

bool MpiExchange::is_finished() const {
  // Messages of this side must have ended, too: nobody else moves them on once the operation is over.
  return !has_more_to_send() && remaining() == 0 &&
         std::all_of(outgoing_.begin(), outgoing_.end(), [](const auto& packet) { return packet->is_idle(); });
}

std::vector<int> MpiExchange::awaited(Lane& lane) const {
  std::vector<bool> is_awaited(static_cast<size_t>(lane.size()));
  for (const auto* transfers : {&headers_, &outgoing_}) {
    for (const auto& transfer : *transfers) {
      for (const int member : transfer->pending()) is_awaited[static_cast<size_t>(member)] = true;
    }
  }
  std::vector<int> members;
  for (int member = 0; member < lane.size(); ++member) {
    const bool is_source = phase_ == Phase::kData && remaining(member) > 0;
    if (is_source || is_awaited[static_cast<size_t>(member)]) members.push_back(member);
  }
  return members;
}

}  // namespace magi::comm
