#include "exchange.hpp"

#include "plan_reader.hpp"
#include "stream_copy.hpp"

#include <magi/status.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

namespace magi::comm {

namespace {

// From here on, what has been received does not stay in a cache anyway.
constexpr int64_t kLargeBytes = 16 << 20;

uint64_t hash_text(const std::string& text) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

// Adjacent or not, pieces count as their caller cut them; empty ones do not count.
void add_piece(PairSizes& sizes, int64_t bytes) {
  if (bytes == 0) return;
  sizes.bytes += static_cast<uint64_t>(bytes);
  sizes.pieces += 1;
  for (int shift = 0; shift < 64; shift += 8) {
    sizes.hash = (sizes.hash ^ static_cast<uint32_t>(bytes >> shift & 0xff)) * 16777619u;
  }
}

std::string describe(const PairSizes& sizes) {
  return std::to_string(sizes.bytes) + " bytes in " + std::to_string(sizes.pieces) +
         (sizes.pieces == 1 ? " piece" : " pieces");
}

}  // namespace

void SpanCursor::advance(int64_t bytes) {
  remaining_ -= bytes;
  offset_ += bytes;
  if (offset_ < spans_[index_].bytes) return;
  offset_ = 0;
  ++index_;
}

Exchange::Exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length, int members,
                   int member, double timeout_seconds)
    : Task(std::move(call), std::move(after)),
      timeout_seconds_(timeout_seconds),
      receives_(static_cast<size_t>(members)),
      send_sizes_(static_cast<size_t>(members)),
      receive_sizes_(static_cast<size_t>(members)) {
  parse(plan, plan_length, members, member);
}

void Exchange::parse(const int64_t* plan, int64_t plan_length, int members, int member) {
  PlanReader reader(plan, plan_length);
  std::map<std::vector<int>, size_t> known_sets;
  const int64_t num_sends = reader.count("num_sends");
  for (int64_t i = 0; i < num_sends; ++i) {
    char* const address = reader.address();
    const int64_t bytes = reader.bytes();
    std::vector<int> destinations;
    const int64_t num_destinations = reader.count("num_destinations");
    for (int64_t j = 0; j < num_destinations; ++j) {
      const int destination = reader.index("destination", members);
      add_piece(send_sizes_[static_cast<size_t>(destination)], bytes);
      if (destination == member) {
        own_source_.add({address, bytes});
      } else {
        destinations.push_back(destination);
      }
    }
    if (destinations.empty() || bytes == 0) continue;
    const auto [set, is_new] = known_sets.try_emplace(destinations, destination_sets_.size());
    if (is_new) destination_sets_.push_back(std::move(destinations));
    sends_.push_back({address, bytes, set->second});
  }
  const int64_t num_receives = reader.count("num_receives");
  for (int64_t i = 0; i < num_receives; ++i) {
    const int source = reader.index("source", members);
    char* const address = reader.address();
    const int64_t bytes = reader.bytes();
    add_piece(receive_sizes_[static_cast<size_t>(source)], bytes);
    if (source == member) {
      own_target_.add({address, bytes});
    } else {
      receives_[static_cast<size_t>(source)].add({address, bytes});
      remaining_ += bytes;
    }
  }
  reader.finish();
  is_large_ = remaining_ + own_target_.remaining() >= kLargeBytes;
}

void Exchange::fill_header(Header& header, int members) const {
  header.status = MAGI_OK;
  header.call_hash = hash_text(call);
  std::snprintf(header.call, sizeof(header.call), "%s", call.c_str());
  std::copy(send_sizes_.begin(), send_sizes_.end(), header.sends());
  std::copy(receive_sizes_.begin(), receive_sizes_.end(), header.receives(members));
}

void Exchange::verify(const Lane& lane, const std::vector<Header*>& headers) const {
  std::map<std::string, std::vector<int>> callers;
  bool is_same_call = true;
  for (int member = 0; member < lane.size(); ++member) {
    Header& header = *headers[static_cast<size_t>(member)];
    if (header.status != MAGI_OK) {
      header.problem[sizeof(header.problem) - 1] = '\0';
      const int rank = lane.rank_of(member);
      throw CommError(header.status, "rank " + std::to_string(rank) + ": " + header.problem, {rank});
    }
    header.call[sizeof(header.call) - 1] = '\0';
    callers[header.call].push_back(lane.rank_of(member));
    is_same_call = is_same_call && header.call_hash == headers[0]->call_hash;
  }
  if (!is_same_call) {
    std::string text = "the ranks' calls differ:";
    for (const auto& [call, ranks] : callers) text += " " + name_ranks(ranks) + ": " + call + ";";
    text.pop_back();
    throw CommError(MAGI_COMM_FAILED, text);
  }
  for (int source = 0; source < lane.size(); ++source) {
    for (int target = 0; target < lane.size(); ++target) {
      const PairSizes& sent = headers[static_cast<size_t>(source)]->sends()[target];
      const PairSizes& wanted = headers[static_cast<size_t>(target)]->receives(lane.size())[source];
      if (sent.bytes == wanted.bytes && sent.pieces == wanted.pieces && sent.hash == wanted.hash) continue;
      const bool is_cut_only = sent.bytes == wanted.bytes && sent.pieces == wanted.pieces;
      throw CommError(MAGI_COMM_FAILED,
                      "the sizes do not fit: rank " + std::to_string(lane.rank_of(source)) + " sends " + describe(sent) +
                          " to rank " + std::to_string(lane.rank_of(target)) + ", which expects " +
                          (is_cut_only ? "other sizes of the pieces" : describe(wanted)),
                      {lane.rank_of(source), lane.rank_of(target)});
    }
  }
}

void Exchange::copy_own() {
  while (own_source_.remaining() > 0) {
    const Span source = own_source_.front();
    const Span target = own_target_.front();
    const int64_t bytes = std::min(source.bytes, target.bytes);
    // The same memory may be on both sides, as in a collective that works in place.
    const bool is_apart = source.address + bytes <= target.address || target.address + bytes <= source.address;
    if (is_large_ && is_apart) {
      stream_copy(target.address, source.address, bytes);
    } else if (source.address != target.address) {
      std::memmove(target.address, source.address, static_cast<size_t>(bytes));
    }
    own_source_.advance(bytes);
    own_target_.advance(bytes);
  }
}

int64_t Exchange::pack(char* packet, int64_t capacity) {
  // Small pieces for the same ranks travel together.
  const size_t set = sends_[next_send_].destinations;
  int64_t filled = 0;
  while (filled < capacity && next_send_ < sends_.size() && sends_[next_send_].destinations == set) {
    const Send& send = sends_[next_send_];
    const int64_t bytes = std::min(capacity - filled, send.bytes - send_offset_);
    std::memcpy(packet + filled, send.address + send_offset_, static_cast<size_t>(bytes));
    filled += bytes;
    send_offset_ += bytes;
    if (send_offset_ == send.bytes) {
      send_offset_ = 0;
      ++next_send_;
    }
  }
  return filled;
}

void Exchange::unpack(int source, const char* packet, int64_t bytes) {
  SpanCursor& target = receives_[static_cast<size_t>(source)];
  if (bytes > target.remaining()) {
    fail(MAGI_INTERNAL, "a packet of %lld bytes does not fit the operation", static_cast<long long>(bytes));
  }
  remaining_ -= bytes;
  while (bytes > 0) {
    const Span part = target.front();
    const int64_t length = std::min(bytes, part.bytes);
    if (is_large_) {
      stream_copy(part.address, packet, length);
    } else {
      std::memcpy(part.address, packet, static_cast<size_t>(length));
    }
    target.advance(length);
    packet += length;
    bytes -= length;
  }
}

}  // namespace magi::comm
