#include "mpi_lane.hpp"

#include "mpi_exchange.hpp"
#include "mpi_transfer.hpp"

#include <magi/status.hpp>

#include <cstring>
#include <utility>

namespace magi::comm {

MpiLane::MpiLane(MpiLaneOptions options) : Lane(options.member, options.members), options_(std::move(options)) {}

std::shared_ptr<Task> MpiLane::make_exchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan,
                                             int64_t plan_length, double timeout_seconds) {
  return std::make_shared<MpiExchange>(std::move(call), std::move(after), plan, plan_length, size(), member(), timeout_seconds);
}

std::vector<int> MpiLane::find_gone() {
  std::vector<int> gone;
  for (int other = 0; other < size(); ++other) {
    if (other != member() && options_.has_left(rank_of(other))) gone.push_back(other);
  }
  return gone;
}

uint64_t MpiLane::find_abort() {
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  for (int other = 0; other < size(); ++other) {
    if (other == member()) continue;
    int is_there = 0;
    MPI_Iprobe(comm_rank(other), tag(kAbortTag), comm(), &is_there, MPI_STATUS_IGNORE);
    if (!is_there) continue;
    uint64_t word = 0;
    MPI_Recv(&word, sizeof(word), MPI_BYTE, comm_rank(other), tag(kAbortTag), comm(), MPI_STATUS_IGNORE);
    return word;
  }
  return 0;
}

void MpiLane::announce_abort(uint64_t word) {
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  MpiTransfer transfer(sizeof(word));
  std::memcpy(transfer.data(), &word, sizeof(word));
  for (int other = 0; other < size(); ++other) {
    if (other == member()) continue;
    try {
      transfer.send(sizeof(word), other, comm_rank(other), tag(kAbortTag), comm());
    } catch (const Error&) {
      // Who cannot be told finds out by its own deadline.
    }
  }
}

}  // namespace magi::comm
