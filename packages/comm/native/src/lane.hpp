// A lane runs its tasks one after the other: exchanges between its members, and local work in between.
#ifndef MAGI_COMM_LANE_HPP
#define MAGI_COMM_LANE_HPP

#include "outcome.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace magi::comm {

class Lane;

enum class Step { kWaiting, kMoved, kFinished };

// Owned by the engine's driver while it runs; `outcome` may be read by others once `is_done`.
class Task {
 public:
  // `after` was submitted before: without it, this task makes no sense.
  Task(std::string call, std::shared_ptr<Task> after) : call(std::move(call)), after(std::move(after)) {}
  virtual ~Task() = default;

  // Does what can be done without waiting. Throws CommError or magi::Error if the operation has failed.
  virtual Step step(Lane& lane) = 0;
  // When to give up; only once the task has begun to wait.
  virtual Deadline deadline() const { return Deadline::max(); }
  // Members of the lane that are waited for now.
  virtual std::vector<int> awaited(Lane&) const { return {}; }

  const std::string call;  // in words
  const std::shared_ptr<Task> after;
  const Lane* lane = nullptr;
  Outcome outcome;
  std::atomic<bool> is_done{false};
};

// The means of transport derive from it.
class Lane {
 public:
  // This rank's place, and the ranks of the job.
  Lane(int member, std::vector<int> members) : member_(member), members_(std::move(members)) {}
  virtual ~Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void add(std::shared_ptr<Task> task);
  bool is_idle() const { return tasks_.empty(); }
  // Runs tasks as far as they go; true if anything moved. Counts the tasks that ended.
  bool progress(int* num_done);
  // Fails the lane if a deadline has passed or somebody who is waited for has gone. The soonest deadline of what is left.
  Deadline check(int* num_done);
  // Ends all tasks that are left. Whether there were none, and none had broken the lane before.
  bool fail_all(const Outcome& outcome);

  // An exchange as comm.h describes it. Throws magi::Error for a bad plan.
  virtual std::shared_ptr<Task> make_exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan,
                                              int64_t plan_length, double timeout_seconds) = 0;

  int member() const { return member_; }
  int size() const { return static_cast<int>(members_.size()); }
  int rank_of(int member) const { return members_[static_cast<size_t>(member)]; }

  std::atomic<int64_t> bytes_written{0};

 protected:
  // Members other than this one that have ended or left. What they have sent before must be readable by then.
  virtual std::vector<int> find_gone() = 0;
  // How a member gave up on the lane: status << 32 | its rank + 1 << 16 | a missing rank + 1. 0: none has.
  virtual uint64_t find_abort() = 0;
  virtual void announce_abort(uint64_t word) = 0;

 private:
  void finish_front(Outcome outcome, int* num_done);
  bool note_abort(int* num_done);
  void abort(int32_t status, const std::string& reason, const std::vector<int>& missing, int* num_done);
  void poison(Outcome outcome, int* num_done);

  const int member_;
  const std::vector<int> members_;
  std::deque<std::shared_ptr<Task>> tasks_;
  bool is_broken_ = false;
  Outcome broken_by_;
};

}  // namespace magi::comm

#endif
