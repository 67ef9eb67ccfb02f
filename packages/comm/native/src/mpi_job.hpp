// A job and its groups through MPI, as this process sees them.
#ifndef MAGI_COMM_MPI_JOB_HPP
#define MAGI_COMM_MPI_JOB_HPP

#include "doorbell.hpp"
#include "engine.hpp"
#include "job_options.hpp"
#include "mpi_lane.hpp"

#include <mpi.h>

#include <map>
#include <memory>
#include <vector>

namespace magi::comm {

// MPI is started by the first job of more than one rank, and ended when the process ends well. If it ends badly, MPI is not
// ended, which makes mpirun end the other ranks.
class Job {
 public:
  // Throws CommError or magi::Error.
  explicit Job(const JobOptions& options);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Makes the communicator of a group.
  int64_t reserve(const std::vector<int>& members);
  MPI_Comm take(int64_t reservation);

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }
  bool has_left(int rank);
  Engine& engine() { return *engine_; }

 private:
  int rank_;
  int world_size_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::map<int64_t, MPI_Comm> reserved_;
  int64_t last_reservation_ = 0;
  std::vector<bool> left_;
  Doorbell bell_{};
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
  const std::shared_ptr<Job> job_;
  const std::vector<int> members_;
  int member_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::map<int, std::shared_ptr<MpiLane>> lanes_;
};

}  // namespace magi::comm

#endif
