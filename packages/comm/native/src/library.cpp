#ifdef MAGI_COMM_MPI
#include "mpi_job.hpp"
#else
#include "job.hpp"
#endif
#include "reduce.hpp"

#include <magi/comm.h>
#include <magi/status.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace magi;
using namespace magi::comm;

// Handles are numbers, so that one that was closed is noticed. The tables outlive the program's static objects: threads may
// still run when the process ends. Calls come from one thread.
template <typename T>
class Table {
 public:
  int64_t add(std::shared_ptr<T> object) {
    objects_.emplace(++last_, std::move(object));
    return last_;
  }
  const std::shared_ptr<T>& get(const char* what, int64_t handle) const {
    const auto entry = objects_.find(handle);
    check(entry != objects_.end(), "%s: %lld is not open", what, static_cast<long long>(handle));
    return entry->second;
  }
  void remove(int64_t handle) { objects_.erase(handle); }
  template <typename F>
  void remove_if(F&& matches) {
    for (auto entry = objects_.begin(); entry != objects_.end();) {
      entry = matches(*entry->second) ? objects_.erase(entry) : std::next(entry);
    }
  }

 private:
  std::map<int64_t, std::shared_ptr<T>> objects_;
  int64_t last_ = 0;
};

Table<Job>& jobs() {
  static auto* table = new Table<Job>();
  return *table;
}

Table<Group>& groups() {
  static auto* table = new Table<Group>();
  return *table;
}

int32_t report(const Outcome& outcome, int32_t* ranks, char* message, int32_t message_size) {
  write_message(message, message_size, outcome.message.c_str());
  if (ranks != nullptr) {
    const size_t count = std::min<size_t>(outcome.ranks.size(), MAGI_COMM_MAX_RANKS);
    ranks[0] = static_cast<int32_t>(count);
    std::copy_n(outcome.ranks.begin(), count, ranks + 1);
  }
  return outcome.status;
}

template <typename F>
int32_t guarded_comm(int32_t* ranks, char* message, int32_t message_size, F&& body) noexcept {
  int32_t status = MAGI_OK;
  if (ranks != nullptr) ranks[0] = 0;
  const int32_t other = guarded(message, message_size, [&] {
    try {
      body();
    } catch (const CommError& error) {
      status = report(error.outcome(), ranks, message, message_size);
    }
  });
  return status != MAGI_OK ? status : other;
}

std::vector<int> read_members(const Job& job, const int32_t* members, int32_t num_members) {
  check(num_members >= 1 && num_members <= job.world_size(), "num_members: expected 1 to %d, got %d", job.world_size(),
        num_members);
  std::vector<int> ranks(members, members + num_members);
  for (size_t i = 0; i < ranks.size(); ++i) {
    check(ranks[i] >= 0 && ranks[i] < job.world_size() && std::count(ranks.begin(), ranks.end(), ranks[i]) == 1,
          "members: expected different ranks below %d, got %d", job.world_size(), ranks[i]);
  }
  return ranks;
}

struct Ticket {
  std::shared_ptr<Group> group;
  std::shared_ptr<Task> task;
};

Table<Ticket>& tickets() {
  static auto* table = new Table<Ticket>();
  return *table;
}

int64_t submit(const std::shared_ptr<Group>& group, const std::shared_ptr<Lane>& lane, std::shared_ptr<Task> task,
               bool in_background) {
  const int64_t ticket = tickets().add(std::make_shared<Ticket>(Ticket{group, task}));
  group->job().engine().submit(lane, std::move(task), in_background);
  return ticket;
}

std::shared_ptr<Task> predecessor(int64_t ticket) {
  return ticket == 0 ? nullptr : tickets().get("after", ticket)->task;
}

}  // namespace

int32_t magi_comm_abi_version(void) { return MAGI_COMM_ABI_VERSION; }

int32_t magi_comm_job_open(int32_t rank, int32_t world_size, const char* host, int32_t port, const char* token,
                           int64_t ring_bytes, double timeout_seconds, int64_t* job, int32_t* ranks, char* message,
                           int32_t message_size) {
  return guarded_comm(ranks, message, message_size, [&] {
    if (world_size > MAGI_COMM_MAX_RANKS) {
      fail(MAGI_UNSUPPORTED, "world_size: this backend runs at most %d ranks, got %d", MAGI_COMM_MAX_RANKS, world_size);
    }
    check(world_size >= 1 && rank >= 0 && rank < world_size, "rank: expected less than world_size %d, got %d", world_size, rank);
    check(ring_bytes >= 0 && timeout_seconds > 0, "ring_bytes and timeout_seconds must be positive");
    *job = jobs().add(std::make_shared<Job>(JobOptions{rank, world_size, host, port, token, ring_bytes, timeout_seconds}));
  });
}

int32_t magi_comm_job_close(int64_t job, char* message, int32_t message_size) {
  return guarded(message, message_size, [&] {
    check(jobs().get("job", job).use_count() == 1, "job: its groups must be closed first");
    jobs().remove(job);
  });
}

int32_t magi_comm_group_reserve(int64_t job, const int32_t* members, int32_t num_members, int64_t* reservation, char* message,
                                int32_t message_size) {
  return guarded(message, message_size, [&] {
    Job& owner = *jobs().get("job", job);
    *reservation = owner.reserve(read_members(owner, members, num_members));
  });
}

int32_t magi_comm_group_open(int64_t job, int64_t reservation, const int32_t* members, int32_t num_members, int64_t* group,
                             char* message, int32_t message_size) {
  return guarded(message, message_size, [&] {
    const std::shared_ptr<Job>& owner = jobs().get("job", job);
    *group = groups().add(std::make_shared<Group>(owner, reservation, read_members(*owner, members, num_members)));
  });
}

int32_t magi_comm_group_close(int64_t group, char* message, int32_t message_size) {
  return guarded(message, message_size, [&] {
    const std::shared_ptr<Group> owner = groups().get("group", group);
    tickets().remove_if([&](const Ticket& ticket) { return ticket.group == owner; });
    groups().remove(group);
  });
}

int32_t magi_comm_exchange(int64_t group, int32_t lane, const char* call, const int64_t* plan, int64_t plan_length,
                           double timeout_seconds, int64_t after, int32_t in_background, int64_t* ticket, char* message,
                           int32_t message_size) {
  return guarded(message, message_size, [&] {
    const std::shared_ptr<Group>& owner = groups().get("group", group);
    const std::shared_ptr<Lane> target = owner->lane(lane);
    auto task = target->make_exchange(call, predecessor(after), plan, plan_length, timeout_seconds);
    *ticket = submit(owner, target, std::move(task), in_background != 0);
  });
}

int32_t magi_comm_reduce(int64_t group, const char* call, const int64_t* plan, int64_t plan_length, int64_t after,
                         int32_t in_background, int64_t* ticket, char* message, int32_t message_size) {
  return guarded(message, message_size, [&] {
    const std::shared_ptr<Group>& owner = groups().get("group", group);
    auto task = std::make_shared<Reduce>(call, predecessor(after), plan, plan_length);
    *ticket = submit(owner, owner->lane(-1), std::move(task), in_background != 0);
  });
}

int32_t magi_comm_test(int64_t ticket) {
  int32_t is_done = 1;
  guarded(nullptr, 0, [&] { is_done = tickets().get("ticket", ticket)->task->is_done.load() ? 1 : 0; });
  return is_done;
}

int32_t magi_comm_wait(int64_t ticket, int32_t* ranks, char* message, int32_t message_size) {
  return guarded_comm(ranks, message, message_size, [&] {
    const std::shared_ptr<Ticket> entry = tickets().get("ticket", ticket);
    const std::shared_ptr<Task>& task = entry->task;
    entry->group->job().engine().wait(*task);
    tickets().remove(ticket);
    if (task->outcome.status != MAGI_OK) throw CommError(task->outcome);
  });
}

int64_t magi_comm_bytes_written(int64_t group) {
  int64_t bytes = 0;
  guarded(nullptr, 0, [&] { bytes = groups().get("group", group)->bytes_written(); });
  return bytes;
}
