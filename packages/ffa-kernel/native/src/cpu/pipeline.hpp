// Runs phases of independent items on all threads, in order of their phases but without a barrier between them: an item starts
// as soon as the phase that it depends on is done. So one head can be packed while another is computed, and what was packed
// is used while it is still in the caches.
#pragma once

#include <magi/parallel.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace magi::ffa {

class Pipeline {
 public:
  using Run = std::function<void(int64_t item, int thread)>;
  static constexpr int kNone = -1;

  // Adds a phase and returns its number. `after`: a phase added before, or kNone. on_claim, where given, is called for one
  // item at a time, in order of the items, before any work on them.
  int add(int64_t count, int after, Run run, Run on_claim = nullptr) {
    phases_.push_back({count, after, std::move(run), std::move(on_claim)});
    return static_cast<int>(phases_.size()) - 1;
  }

  void run(int num_threads) {
    done_ = std::make_unique<std::atomic<int64_t>[]>(phases_.size());
    for (size_t i = 0; i < phases_.size(); ++i) done_[i].store(0, std::memory_order_relaxed);
    parallel_run(num_threads, [&](int thread, int) {
      for (Claim claim; claim_next(thread, &claim);) {
        const Phase& phase = phases_[claim.phase];
        if (phase.after != kNone) wait_for(phase.after);
        phase.run(claim.item, thread);
        done_[claim.phase].fetch_add(1, std::memory_order_release);
      }
    });
  }

 private:
  struct Phase {
    int64_t count;
    int after;
    Run run;
    Run on_claim;
  };
  struct Claim {
    size_t phase;
    int64_t item;
  };

  bool claim_next(int thread, Claim* claim) {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (phase_ < phases_.size() && item_ == phases_[phase_].count) {
      ++phase_;
      item_ = 0;
    }
    if (phase_ == phases_.size()) return false;
    *claim = {phase_, item_++};
    if (phases_[phase_].on_claim) phases_[phase_].on_claim(claim->item, thread);
    return true;
  }

  // Items are claimed in order, so whatever is waited for is finished or running on another thread.
  void wait_for(int phase) {
    const int64_t count = phases_[static_cast<size_t>(phase)].count;
    for (int spins = 0; done_[static_cast<size_t>(phase)].load(std::memory_order_acquire) < count; ++spins) {
      if (spins < 256) {
        detail::cpu_relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

  std::vector<Phase> phases_;
  std::unique_ptr<std::atomic<int64_t>[]> done_;
  std::mutex mutex_;
  size_t phase_ = 0;
  int64_t item_ = 0;
};

// Batches of `size` key/value heads, one after the other: enter(batch) adds the phase that a batch begins with and leave(batch)
// those that end it. A batch is entered before the one ahead of it is left, so that threads need not wait at its border.
template <typename Enter, typename Leave>
void overlap_batches(int count, Enter&& enter, Leave&& leave) {
  for (int batch = 0; batch <= count; ++batch) {
    if (batch < count) enter(batch);
    if (batch > 0) leave(batch - 1);
  }
}

}  // namespace magi::ffa
