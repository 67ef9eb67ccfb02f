#include "mpi_job.hpp"

#include "mpi_transfer.hpp"

#include <dlfcn.h>
#include <magi/parallel.hpp>
#include <magi/status.hpp>
#include <stdlib.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

namespace magi::comm {

namespace {

constexpr int kLeftTag = 0;
constexpr int kCreateTag = 1;
// MPI wakes nobody up.
constexpr auto kLongestNap = std::chrono::microseconds(500);

void start_mpi() {
  int is_running = 0;
  MPI_Initialized(&is_running);
  int level = MPI_THREAD_SINGLE;
  if (is_running) {
    check_mpi(MPI_Query_thread(&level), "MPI_Query_thread");
  } else {
    // MPI's own plugins look for its symbols, which Node's loader keeps to itself.
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(&MPI_Init_thread), &info) != 0) {
      dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
    }
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level), "MPI_Init_thread");
#ifdef __GLIBC__
    on_exit(
        [](int status, void*) {
          if (status == 0) MPI_Finalize();
        },
        nullptr);
#else
    atexit([] { MPI_Finalize(); });
#endif
  }
  if (level < MPI_THREAD_SERIALIZED) {
    fail(MAGI_UNSUPPORTED, "backend: the mpi backend needs MPI_THREAD_SERIALIZED, this MPI gives level %d", level);
  }
}

}  // namespace

Job::Job(const JobOptions& options)
    : rank_(options.rank), world_size_(options.world_size), left_(static_cast<size_t>(options.world_size)) {
  if (world_size_ > 1) {
    const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
    start_mpi();
    int rank = 0;
    int size = 0;
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
    if (rank != rank_ || size != world_size_) {
      const auto name = [](int rank, int size) { return "rank " + std::to_string(rank) + " of " + std::to_string(size); };
      throw CommError(MAGI_COMM_FAILED, "MPI has started this process as " + name(rank, size) + ", but it is to be " +
                                            name(rank_, world_size_) + ". Start the program with mpirun -n " +
                                            std::to_string(world_size_) + ".");
    }
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  // With more ranks than cores, spinning takes the time of the one that is waited for.
  const bool may_spin = world_size_ <= magi::detail::usable_cores();
  engine_ = std::make_unique<Engine>(bell_, may_spin, kLongestNap);
}

Job::~Job() {
  engine_.reset();
  if (comm_ == MPI_COMM_NULL) return;
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  MpiTransfer goodbye(1);
  for (int other = 0; other < world_size_; ++other) {
    if (other == rank_) continue;
    try {
      goodbye.send(0, other, other, kLeftTag, comm_);
    } catch (const Error&) {
      // Who cannot be told has gone itself.
    }
  }
  // The communicator stays: others may still read their goodbyes from it.
}

int64_t Job::reserve(const std::vector<int>& members) {
  const int64_t reservation = ++last_reservation_;
  if (members.size() == 1 || std::find(members.begin(), members.end(), rank_) == members.end()) return reservation;
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  MPI_Group all;
  MPI_Group some;
  MPI_Comm comm;
  check_mpi(MPI_Comm_group(comm_, &all), "MPI_Comm_group");
  check_mpi(MPI_Group_incl(all, static_cast<int>(members.size()), members.data(), &some), "MPI_Group_incl");
  check_mpi(MPI_Comm_create_group(comm_, some, kCreateTag, &comm), "MPI_Comm_create_group");
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  MPI_Group_free(&some);
  MPI_Group_free(&all);
  reserved_.emplace(reservation, comm);
  return reservation;
}

MPI_Comm Job::take(int64_t reservation) {
  const auto entry = reserved_.find(reservation);
  check(entry != reserved_.end(), "reservation: %lld is not this rank's", static_cast<long long>(reservation));
  const MPI_Comm comm = entry->second;
  reserved_.erase(entry);
  return comm;
}

bool Job::has_left(int rank) {
  const auto index = static_cast<size_t>(rank);
  if (left_[index]) return true;
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  int is_there = 0;
  MPI_Iprobe(rank, kLeftTag, comm_, &is_there, MPI_STATUS_IGNORE);
  left_[index] = is_there != 0;
  return left_[index];
}

Group::Group(std::shared_ptr<Job> job, int64_t reservation, std::vector<int> members)
    : job_(std::move(job)), members_(std::move(members)) {
  const auto own = std::find(members_.begin(), members_.end(), job_->rank());
  check(own != members_.end(), "members: rank %d is not one of them", job_->rank());
  member_ = static_cast<int>(own - members_.begin());
  if (size() > 1) comm_ = job_->take(reservation);
}

Group::~Group() {
  bool is_quiet = true;
  for (const auto& [index, lane] : lanes_) {
    const Outcome outcome{MAGI_COMM_FAILED, "the group was destroyed before the operation ended", {}};
    is_quiet = job_->engine().drop(lane, outcome) && is_quiet;
  }
  lanes_.clear();
  if (comm_ == MPI_COMM_NULL) return;
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  int is_there = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &is_there, MPI_STATUS_IGNORE);
  // A communicator with messages that nobody has received stays, lest they turn up in another one.
  if (is_quiet && is_there == 0) MPI_Comm_free(&comm_);
}

std::shared_ptr<Lane> Group::lane(int index) {
  const auto known = lanes_.find(index);
  if (known != lanes_.end()) return known->second;
  MpiLaneOptions options{comm_, {}, 0, member_, members_, [job = job_.get()](int rank) { return job->has_left(rank); }};
  if (index == -1) {
    options.comm_ranks.resize(members_.size());
    std::iota(options.comm_ranks.begin(), options.comm_ranks.end(), 0);
  } else {
    check(index >= 0 && index < size() * size() && index / size() != index % size(),
          "lane: expected -1 or a pair of two of %d members, got %d", size(), index);
    const int from = index / size();
    const int to = index % size();
    check(member_ == from || member_ == to, "lane: %d belongs to other members", index);
    // Two members have two lanes, one for each direction.
    options.first_tag = (from < to ? 1 : 2) * MpiLane::kNumTags;
    options.comm_ranks = {from, to};
    options.member = member_ == from ? 0 : 1;
    options.members = {members_[static_cast<size_t>(from)], members_[static_cast<size_t>(to)]};
  }
  auto lane = std::make_shared<MpiLane>(std::move(options));
  lanes_.emplace(index, lane);
  return lane;
}

int64_t Group::bytes_written() const {
  int64_t sum = 0;
  for (const auto& [index, lane] : lanes_) sum += lane->bytes_written.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace magi::comm
