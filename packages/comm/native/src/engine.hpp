// Drives the lanes of this process. One thread at a time is the driver: one of ours while there is background work, else the
// thread that waits for an operation, which so needs no help from another thread.
#ifndef MAGI_COMM_ENGINE_HPP
#define MAGI_COMM_ENGINE_HPP

#include "doorbell.hpp"
#include "lane.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace magi::comm {

class Engine {
 public:
  // `bell` is rung by whoever changes something that this process may wait for. If not everything rings it, looks must follow
  // each other within `longest_nap`.
  Engine(Doorbell& bell, bool may_spin, std::chrono::nanoseconds longest_nap = std::chrono::nanoseconds::max());
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void submit(std::shared_ptr<Lane> lane, std::shared_ptr<Task> task, bool in_background);
  void wait(const Task& task);
  // Ends the tasks of a lane; afterwards nothing touches its memory. Whether there was nothing to end, and no earlier failure.
  bool drop(const std::shared_ptr<Lane>& lane, const Outcome& outcome);

 private:
  void run_background();
  // Until `is_enough`, or nothing is left to do, or somebody else wants to drive.
  void drive(const std::function<bool()>& is_enough);
  void take_inbox();
  bool progress();
  Deadline check();
  void note_done(int num_done);

  Doorbell& bell_;
  const bool may_spin_;
  const std::chrono::nanoseconds longest_nap_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Under the mutex:
  std::vector<std::pair<std::shared_ptr<Lane>, std::shared_ptr<Task>>> inbox_;
  bool is_driven_ = false;
  bool has_background_work_ = false;
  bool must_stop_ = false;
  std::atomic<bool> must_yield_{false};
  // The driver's:
  std::vector<std::shared_ptr<Lane>> lanes_;  // with tasks

  std::thread background_;
};

}  // namespace magi::comm

#endif
