// How an operation ended: a status, the words for it, and the ranks at fault.
#ifndef MAGI_COMM_OUTCOME_HPP
#define MAGI_COMM_OUTCOME_HPP

#include <magi/comm.h>

#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace magi::comm {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

inline Deadline deadline_after(double seconds) {
  // A century stands for "never" and keeps the sum in range.
  constexpr double kLongest = 3.0e9;
  const double bounded = seconds < kLongest ? seconds : kLongest;
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(bounded));
}

struct Outcome {
  int32_t status = MAGI_OK;
  std::string message;
  std::vector<int> ranks;  // of the job
};

class CommError : public std::exception {
 public:
  explicit CommError(Outcome outcome) : outcome_(std::move(outcome)) {}
  CommError(int32_t status, std::string message, std::vector<int> ranks = {})
      : outcome_{status, std::move(message), std::move(ranks)} {}
  const Outcome& outcome() const { return outcome_; }
  const char* what() const noexcept override { return outcome_.message.c_str(); }

 private:
  Outcome outcome_;
};

// "rank 2" or "ranks 1, 3"; long lists are cut.
inline std::string name_ranks(const std::vector<int>& ranks) {
  constexpr size_t kShown = 16;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size() && i < kShown; ++i) text += (i ? ", " : "") + std::to_string(ranks[i]);
  if (ranks.size() > kShown) text += ", ... (" + std::to_string(ranks.size()) + " in all)";
  return text;
}

}  // namespace magi::comm

#endif
