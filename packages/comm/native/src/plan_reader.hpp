// Reads a plan: an array of numbers whose meaning comm.h gives.
#ifndef MAGI_COMM_PLAN_READER_HPP
#define MAGI_COMM_PLAN_READER_HPP

#include <magi/status.hpp>

#include <cstdint>

namespace magi::comm {

class PlanReader {
 public:
  PlanReader(const int64_t* plan, int64_t length) : plan_(plan), length_(length) {}

  int64_t next() {
    check(position_ < length_, "plan: expected more than %lld numbers", static_cast<long long>(length_));
    return plan_[position_++];
  }
  int64_t count(const char* what) {
    const int64_t value = next();
    check(value >= 0 && value <= length_, "plan: %s is %lld, expected at most its length", what,
          static_cast<long long>(value));
    return value;
  }
  int64_t bytes() {
    const int64_t value = next();
    check(value >= 0, "plan: expected a size, got %lld", static_cast<long long>(value));
    return value;
  }
  int index(const char* what, int limit) {
    const int64_t value = next();
    check(value >= 0 && value < limit, "plan: %s is %lld, expected less than %d", what, static_cast<long long>(value), limit);
    return static_cast<int>(value);
  }
  char* address() { return reinterpret_cast<char*>(static_cast<intptr_t>(next())); }
  void finish() const {
    check(position_ == length_, "plan: expected %lld numbers, got %lld", static_cast<long long>(position_),
          static_cast<long long>(length_));
  }

 private:
  const int64_t* plan_;
  int64_t length_;
  int64_t position_ = 0;
};

}  // namespace magi::comm

#endif
