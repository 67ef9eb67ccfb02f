// A lane through MPI.
#ifndef MAGI_COMM_MPI_LANE_HPP
#define MAGI_COMM_MPI_LANE_HPP

#include "lane.hpp"

#include <mpi.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

struct MpiLaneOptions {
  MPI_Comm comm;                      // of the group; unused by a group of one member
  std::vector<int> comm_ranks;        // of the members, in `comm`
  int first_tag;                      // of kNumTags that are this lane's own
  int member;                         // this rank's place
  std::vector<int> members;           // ranks of the job
  std::function<bool(int)> has_left;  // whether a rank of the job has left it
};

class MpiLane final : public Lane {
 public:
  enum Tag { kHeaderTag, kDataTag, kAbortTag, kNumTags };

  explicit MpiLane(MpiLaneOptions options);

  std::shared_ptr<Task> make_exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length,
                                      double timeout_seconds) override;

  // For exchanges.
  MPI_Comm comm() const { return options_.comm; }
  int comm_rank(int member) const { return options_.comm_ranks[static_cast<size_t>(member)]; }
  int tag(Tag tag) const { return options_.first_tag + tag; }

 protected:
  std::vector<int> find_gone() override;
  uint64_t find_abort() override;
  void announce_abort(uint64_t word) override;

 private:
  MpiLaneOptions options_;
};

}  // namespace magi::comm

#endif
