#include "shm_lane.hpp"

#include "shm_exchange.hpp"

#include <utility>

namespace magi::comm {

ShmLane::ShmLane(ShmLaneOptions options)
    : Lane(options.member, options.members),
      queued(options.members.size()),
      read(options.members.size()),
      options_(std::move(options)) {}

std::shared_ptr<Task> ShmLane::make_exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan,
                                             int64_t plan_length, double timeout_seconds) {
  return std::make_shared<ShmExchange>(std::move(call), std::move(after), plan, plan_length, size(), member(), timeout_seconds);
}

void ShmLane::ring(int member) const {
  if (member != options_.member) options_.control->ranks[rank_of(member)].doorbell.ring();
}

void ShmLane::allocate_control() {
  if (!is_control_allocated_ && options_.allocate_control) options_.allocate_control();
  is_control_allocated_ = true;
}

void ShmLane::allocate_ring() {
  if (!is_ring_allocated_ && options_.allocate_ring) options_.allocate_ring();
  is_ring_allocated_ = true;
}

std::vector<int> ShmLane::find_gone() {
  std::vector<int> gone;
  for (int member = 0; member < size(); ++member) {
    const RankState state = options_.control->ranks[rank_of(member)].state.load();
    if (member != options_.member && state != RankState::kPresent) gone.push_back(member);
  }
  return gone;
}

uint64_t ShmLane::find_abort() { return memory().control().aborted.load(std::memory_order_acquire); }

void ShmLane::announce_abort(uint64_t word) {
  uint64_t none = 0;
  memory().control().aborted.compare_exchange_strong(none, word);
  for (int member = 0; member < size(); ++member) ring(member);
}

}  // namespace magi::comm
