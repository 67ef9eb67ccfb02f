#include "lane.hpp"

#include <magi/status.hpp>

#include <algorithm>
#include <utility>

namespace magi::comm {

namespace {

std::string plain(const std::vector<int>& ranks) {
  std::string text = "[";
  for (size_t i = 0; i < ranks.size() && i < 16; ++i) text += (i ? ", " : "") + std::to_string(ranks[i]);
  return text + (ranks.size() > 16 ? ", ...]" : "]");
}

}  // namespace

void Lane::add(std::shared_ptr<Task> task) {
  task->lane = this;
  tasks_.push_back(std::move(task));
}

void Lane::finish_front(Outcome outcome, int* num_done) {
  const std::shared_ptr<Task> task = std::move(tasks_.front());
  tasks_.pop_front();
  if (outcome.status != MAGI_OK) outcome.message = task->call + ": " + outcome.message;
  task->outcome = std::move(outcome);
  task->is_done.store(true, std::memory_order_release);
  ++*num_done;
}

bool Lane::progress(int* num_done) {
  bool has_moved = false;
  while (!tasks_.empty()) {
    Task& task = *tasks_.front();
    Outcome outcome;
    if (is_broken_) {
      outcome = broken_by_;
    } else if (task.after && !task.after->is_done.load(std::memory_order_acquire)) {
      return has_moved;
    } else if (task.after && task.after->outcome.status != MAGI_OK) {
      const Outcome& cause = task.after->outcome;
      // On its own lane all members failed alike; elsewhere others may not know, and wait for us here.
      if (task.after->lane != this) {
        abort(cause.status, cause.message, cause.ranks, num_done);
        return true;
      }
      outcome = cause;
    } else {
      Step step = Step::kFinished;
      bool is_midway = false;
      try {
        step = task.step(*this);
      } catch (const CommError& error) {
        outcome = error.outcome();
      } catch (const Error& error) {
        outcome = {error.status(), error.what(), {}};
        is_midway = task.deadline() != Deadline::max();
      } catch (const std::exception& error) {
        outcome = {MAGI_INTERNAL, error.what(), {}};
        is_midway = task.deadline() != Deadline::max();
      }
      if (is_midway) {
        // Nobody knows how far the others are.
        abort(outcome.status, outcome.message, {}, num_done);
        return true;
      }
      if (step == Step::kWaiting) return has_moved;
      if (step == Step::kMoved) return true;
    }
    finish_front(std::move(outcome), num_done);
    has_moved = true;
  }
  return has_moved;
}

Deadline Lane::check(int* num_done) {
  if (tasks_.empty() || is_broken_) return Deadline::max();
  const Deadline deadline = tasks_.front()->deadline();
  if (deadline == Deadline::max()) return deadline;
  if (note_abort(num_done)) return Deadline::max();

  // States are read before what the ranks left behind: who ends after his part is done is not missed.
  const std::vector<int> gone = find_gone();
  const bool is_late = Clock::now() >= deadline;
  if (gone.empty() && !is_late) return deadline;
  if (progress(num_done) || tasks_.empty()) return Clock::now();

  const std::vector<int> awaited = tasks_.front()->awaited(*this);
  std::vector<int> missing;
  std::vector<int> lost;
  for (const int member : awaited) {
    missing.push_back(rank_of(member));
    if (std::find(gone.begin(), gone.end(), member) != gone.end()) lost.push_back(rank_of(member));
  }
  if (!lost.empty()) {
    abort(MAGI_COMM_PEER_LOST, name_ranks(lost) + (lost.size() == 1 ? " has" : " have") + " ended or left", lost, num_done);
  } else if (is_late) {
    abort(MAGI_COMM_TIMEOUT, "timed out waiting for " + name_ranks(missing), missing, num_done);
  }
  return deadline;
}

bool Lane::note_abort(int* num_done) {
  const uint64_t aborted = find_abort();
  if (aborted == 0) return false;
  const auto status = static_cast<int32_t>(aborted >> 32);
  const int by = static_cast<int>(aborted >> 16 & 0xffff) - 1;
  const int missing = static_cast<int>(aborted & 0xffff) - 1;
  const std::string text = "rank " + std::to_string(by) + " gave up on the group: ";
  if (missing < 0) {
    poison({status, text + "its operation failed", {}}, num_done);
  } else {
    const char* reason = status == MAGI_COMM_TIMEOUT ? "it timed out waiting for rank " : "it lost rank ";
    poison({status, text + reason + std::to_string(missing), {missing}}, num_done);
  }
  return true;
}

void Lane::abort(int32_t status, const std::string& reason, const std::vector<int>& missing, int* num_done) {
  const uint64_t word = static_cast<uint64_t>(status) << 32 |
                        static_cast<uint64_t>(rank_of(member_) + 1) << 16 |
                        static_cast<uint64_t>((missing.empty() ? -1 : missing.front()) + 1);
  announce_abort(word);
  poison({status, reason + " (group of ranks " + plain(members_) + ")", missing}, num_done);
}

void Lane::poison(Outcome outcome, int* num_done) {
  is_broken_ = true;
  broken_by_ = {outcome.status, "the group failed before: " + tasks_.front()->call + ": " + outcome.message, outcome.ranks};
  finish_front(std::move(outcome), num_done);
  progress(num_done);
}

bool Lane::fail_all(const Outcome& outcome) {
  const bool was_quiet = tasks_.empty() && !is_broken_;
  is_broken_ = true;
  broken_by_ = outcome;
  int num_done = 0;
  progress(&num_done);
  return was_quiet;
}

}  // namespace magi::comm
