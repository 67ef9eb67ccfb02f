// A job and its groups, as this process sees them.
#ifndef MAGI_COMM_JOB_HPP
#define MAGI_COMM_JOB_HPP

#include "bootstrap.hpp"
#include "control.hpp"
#include "engine.hpp"
#include "monitor.hpp"
#include "shm_lane.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

class Group;

class Job {
 public:
  // Throws CommError or magi::Error.
  explicit Job(const JobOptions& options);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Where the memory of a group begins. The first member allocates what must be there from the beginning.
  int64_t reserve(const std::vector<int>& members);

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }
  int64_t ring_bytes() const { return ring_bytes_; }
  const Segment& segment() const { return segment_; }
  Control& control() { return *control_; }
  Engine& engine() { return *engine_; }

 private:
  int rank_;
  int world_size_;
  Segment segment_;
  std::unique_ptr<Control> own_control_;  // of a job of one rank, which shares nothing
  Control* control_ = nullptr;
  int64_t ring_bytes_ = 0;
  int64_t next_offset_;
  std::unique_ptr<Monitor> monitor_;
  std::unique_ptr<Engine> engine_;
};

class Group {
 public:
  Group(std::shared_ptr<Job> job, int64_t reservation, std::vector<int> members);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // -1 is the lane of the collectives.
  std::shared_ptr<Lane> lane(int index);
  int size() const { return static_cast<int>(members_.size()); }
  Job& job() { return *job_; }
  int64_t bytes_written() const;

 private:
  std::shared_ptr<ShmLane> make_lane(const LaneLayout& layout, int64_t control, int64_t rings, int member,
                                  std::vector<int> ranks, bool is_control_allocated);

  const std::shared_ptr<Job> job_;
  const int64_t reservation_;
  const std::vector<int> members_;
  int member_;
  char* memory_ = nullptr;
  int64_t memory_bytes_ = 0;
  std::unique_ptr<char[]> own_memory_;  // of a group of one member
  std::map<int, std::shared_ptr<Lane>> lanes_;
};

}  // namespace magi::comm

#endif
