#include "engine.hpp"

#include <magi/parallel.hpp>
#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace magi::comm {

namespace {

constexpr auto kSpin = std::chrono::microseconds(20);
// A doorbell always rings, but a rank without process descriptors learns of an end by its own clock at the latest.
constexpr auto kLongestSleep = std::chrono::milliseconds(100);

}  // namespace

Engine::Engine(Doorbell& bell, bool may_spin, std::chrono::nanoseconds longest_nap)
    : bell_(bell), may_spin_(may_spin), longest_nap_(longest_nap) {
  // Signals are for the threads of the program.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  background_ = std::thread([this] { run_background(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Engine::~Engine() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    must_stop_ = true;
    must_yield_ = true;
  }
  changed_.notify_all();
  bell_.ring();
  background_.join();
}

void Engine::submit(std::shared_ptr<Lane> lane, std::shared_ptr<Task> task, bool in_background) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    inbox_.emplace_back(std::move(lane), std::move(task));
    has_background_work_ = has_background_work_ || in_background;
  }
  if (in_background) changed_.notify_all();
  bell_.ring();
}

void Engine::wait(const Task& task) {
  const auto is_done = [&task] { return task.is_done.load(std::memory_order_acquire); };
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_done()) {
    if (is_driven_) {
      changed_.wait(lock);
      continue;
    }
    is_driven_ = true;
    lock.unlock();
    drive(is_done);
    lock.lock();
    is_driven_ = false;
    has_background_work_ = has_background_work_ || !lanes_.empty() || !inbox_.empty();
    changed_.notify_all();
  }
}

bool Engine::drop(const std::shared_ptr<Lane>& lane, const Outcome& outcome) {
  std::unique_lock<std::mutex> lock(mutex_);
  must_yield_ = true;
  bell_.ring();
  changed_.wait(lock, [this] { return !is_driven_; });
  must_yield_ = false;
  take_inbox();
  const bool was_quiet = lane->fail_all(outcome);
  lanes_.erase(std::remove(lanes_.begin(), lanes_.end(), lane), lanes_.end());
  has_background_work_ = !lanes_.empty();
  changed_.notify_all();
  return was_quiet;
}

void Engine::run_background() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return must_stop_ || (has_background_work_ && !is_driven_ && !must_yield_); });
    if (must_stop_) return;
    is_driven_ = true;
    lock.unlock();
    drive([] { return false; });
    lock.lock();
    is_driven_ = false;
    has_background_work_ = !lanes_.empty() || !inbox_.empty();
    changed_.notify_all();
  }
}

// Called with the mutex held.
void Engine::take_inbox() {
  for (auto& [lane, task] : inbox_) {
    if (lane->is_idle()) lanes_.push_back(lane);
    lane->add(std::move(task));
  }
  inbox_.clear();
}

void Engine::drive(const std::function<bool()>& is_enough) {
  Deadline spin_until = Clock::now();
  Deadline next_check{};
  while (!is_enough() && !must_yield_) {
    const uint32_t seen = bell_.value.load(std::memory_order_seq_cst);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      take_inbox();
    }
    const bool has_moved = progress();
    const Deadline now = Clock::now();
    if (has_moved) spin_until = now + kSpin;
    if (lanes_.empty()) return;
    if (now >= next_check) {
      const Deadline soonest = check();
      next_check = std::min(soonest, now + kLongestSleep);
      continue;
    }
    if (has_moved) continue;
    if (may_spin_ && now < spin_until) {
      for (int i = 0; i < 32; ++i) magi::detail::cpu_relax();
      continue;
    }
    // Where naps are short, the longer nothing has moved, the longer they get.
    const auto nap = std::min(longest_nap_, std::max<std::chrono::nanoseconds>((now - spin_until) / 8, kSpin));
    const auto limit = longest_nap_ == std::chrono::nanoseconds::max() ? longest_nap_ : nap;
    bell_.is_sleeping.store(1, std::memory_order_seq_cst);
    bell_.sleep(seen, std::clamp<std::chrono::nanoseconds>(next_check - now, std::chrono::microseconds(1), limit));
    bell_.is_sleeping.store(0, std::memory_order_seq_cst);
  }
}

bool Engine::progress() {
  bool has_moved = false;
  int num_done = 0;
  for (const std::shared_ptr<Lane>& lane : lanes_) has_moved = lane->progress(&num_done) || has_moved;
  note_done(num_done);
  return has_moved;
}

Deadline Engine::check() {
  Deadline soonest = Deadline::max();
  int num_done = 0;
  for (const std::shared_ptr<Lane>& lane : lanes_) soonest = std::min(soonest, lane->check(&num_done));
  note_done(num_done);
  return soonest;
}

void Engine::note_done(int num_done) {
  if (num_done == 0) return;
  lanes_.erase(std::remove_if(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->is_idle(); }), lanes_.end());
  // The lock closes the gap between a waiter's look at its task and its sleep.
  { const std::lock_guard<std::mutex> lock(mutex_); }
  changed_.notify_all();
}

}  // namespace magi::comm
