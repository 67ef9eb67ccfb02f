// The one operation between ranks: pieces of memory go to sets of members, and fill the memory that these set out for them.
#ifndef MAGI_COMM_EXCHANGE_HPP
#define MAGI_COMM_EXCHANGE_HPP

#include "header.hpp"
#include "lane.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

struct Span {
  char* address;
  int64_t bytes;
};

// Walks over spans as if they were one.
class SpanCursor {
 public:
  void add(Span span) {
    if (span.bytes == 0) return;
    spans_.push_back(span);
    remaining_ += span.bytes;
  }
  int64_t remaining() const { return remaining_; }
  // What lies at the cursor in one piece.
  Span front() const { return {spans_[index_].address + offset_, spans_[index_].bytes - offset_}; }
  void advance(int64_t bytes);

 private:
  std::vector<Span> spans_;
  size_t index_ = 0;
  int64_t offset_ = 0;
  int64_t remaining_ = 0;
};

// The part of it that all means of transport share.
class Exchange : public Task {
 public:
  // Throws magi::Error for a plan that is not as comm.h says.
  Exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length, int members, int member,
           double timeout_seconds);

  Deadline deadline() const override { return deadline_; }

 protected:
  enum class Phase { kBegin, kHeaders, kData };

  void start_clock() { deadline_ = deadline_after(timeout_seconds_); }
  // All but the header's sequence.
  void fill_header(Header& header, int members) const;
  // Throws CommError, on every member alike, if what they say does not fit. Headers by member.
  void verify(const Lane& lane, const std::vector<Header*>& headers) const;
  void copy_own();

  bool has_more_to_send() const { return next_send_ < sends_.size(); }
  // Who gets the next packet.
  const std::vector<int>& next_destinations() const { return destination_sets_[sends_[next_send_].destinations]; }
  // Fills a packet with pieces for `next_destinations`; its size.
  int64_t pack(char* packet, int64_t capacity);
  // Bytes that are still to come from another member, or from all.
  int64_t remaining(int source) const { return receives_[static_cast<size_t>(source)].remaining(); }
  int64_t remaining() const { return remaining_; }
  // Puts a packet into its place.
  void unpack(int source, const char* packet, int64_t bytes);

  Phase phase_ = Phase::kBegin;

 private:
  struct Send {
    const char* address;
    int64_t bytes;
    size_t destinations;  // index of the set
  };

  void parse(const int64_t* plan, int64_t plan_length, int members, int member);

  const double timeout_seconds_;
  Deadline deadline_ = Deadline::max();
  std::vector<std::vector<int>> destination_sets_;
  std::vector<Send> sends_;  // to others
  size_t next_send_ = 0;
  int64_t send_offset_ = 0;
  SpanCursor own_source_;
  SpanCursor own_target_;
  std::vector<SpanCursor> receives_;  // by source
  int64_t remaining_ = 0;             // bytes to be received from others
  bool is_large_ = false;
  std::vector<PairSizes> send_sizes_;
  std::vector<PairSizes> receive_sizes_;
};

}  // namespace magi::comm

#endif
