// A lane in shared memory.
#ifndef MAGI_COMM_SHM_LANE_HPP
#define MAGI_COMM_SHM_LANE_HPP

#include "control.hpp"
#include "lane.hpp"
#include "lane_memory.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

struct ShmLaneOptions {
  LaneMemory memory;
  int member;                // this rank's place
  std::vector<int> members;  // ranks of the job
  Control* control;
  // Allocate shared memory at the first use; may throw.
  std::function<void()> allocate_control;
  std::function<void()> allocate_ring;
};

class ShmLane final : public Lane {
 public:
  explicit ShmLane(ShmLaneOptions options);

  std::shared_ptr<Task> make_exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length,
                                      double timeout_seconds) override;

  // For exchanges.
  const LaneMemory& memory() const { return options_.memory; }
  void ring(int member) const;
  void allocate_control();
  void allocate_ring();

  uint64_t sequence = 1;         // of the next exchange
  int next_slot = 0;             // to be filled
  std::vector<uint64_t> queued;  // packets for each reader
  std::vector<uint64_t> read;    // packets of each writer

 protected:
  std::vector<int> find_gone() override;
  uint64_t find_abort() override;
  void announce_abort(uint64_t word) override;

 private:
  ShmLaneOptions options_;
  bool is_control_allocated_ = false;
  bool is_ring_allocated_ = false;
};

}  // namespace magi::comm

#endif
