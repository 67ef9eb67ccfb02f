#include "bootstrap.hpp"

#include "control.hpp"
#include "lane_memory.hpp"

#include <magi/status.hpp>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace magi::comm {

namespace {

constexpr char kMagic[8] = {'M', 'A', 'G', 'I', 'C', 'O', 'M', '1'};

// Messages are plain structs: all ranks run on one machine, or the job is refused.
struct Hello {
  char magic[8];
  int32_t rank;
  int32_t world_size;
  char token[128];
  char host[128];
};

struct Reply {
  int32_t status;
  int32_t num_ranks;
  int32_t ranks[MAGI_COMM_MAX_RANKS];
  char message[512];
  char segment[64];
  int64_t ring_bytes;
};

constexpr int64_t kControlBytes = round_to_page(sizeof(Control));

template <size_t N>
void copy_text(char (&target)[N], const std::string& text) {
  std::snprintf(target, N, "%s", text.c_str());
}

Reply failure(const Outcome& outcome) {
  Reply reply{};
  reply.status = outcome.status;
  copy_text(reply.message, outcome.message);
  reply.num_ranks = static_cast<int32_t>(std::min<size_t>(outcome.ranks.size(), MAGI_COMM_MAX_RANKS));
  std::copy_n(outcome.ranks.begin(), reply.num_ranks, reply.ranks);
  return reply;
}

void throw_failure(const Reply& reply) {
  if (reply.status == MAGI_OK) return;
  const int count = std::clamp(reply.num_ranks, 0, MAGI_COMM_MAX_RANKS);
  throw CommError(reply.status, reply.message, std::vector<int>(reply.ranks, reply.ranks + count));
}

// By default 2 MiB, since what is in flight between two ranks should fit into a cache, and together at most a quarter of
// what /dev/shm has left.
int64_t choose_ring_bytes(const BootstrapOptions& options) {
  constexpr int64_t kDefault = 2 << 20;
  constexpr int64_t kSmallest = 2 * kSlotBytes;
  if (options.ring_bytes > 0) return options.ring_bytes;
  return std::clamp(free_shared_memory() / 4 / options.world_size, kSmallest, kDefault);
}

std::vector<int> missing_ranks(const std::vector<Socket>& peers) {
  std::vector<int> missing;
  for (size_t rank = 1; rank < peers.size(); ++rank) {
    if (!peers[rank].is_valid()) missing.push_back(static_cast<int>(rank));
  }
  return missing;
}

// A connection that has not said yet who it is.
struct Guest {
  Socket socket;
  Hello hello{};
  size_t received = 0;
};

void introduce(char* memory, int rank) {
  RankControl& own = reinterpret_cast<Control*>(memory)->ranks[rank];
  struct stat info;
  own.process_namespace.store(stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0);
  own.process.store(getpid());
}

class Host {
 public:
  explicit Host(const BootstrapOptions& options)
      : options_(options), deadline_(deadline_after(options.timeout_seconds)), peers_(static_cast<size_t>(options.world_size)) {}

  BootstrapResult run() {
    const Socket listener = Socket::listen(options_.host, options_.port);
    try {
      gather(listener);
      return share_segment();
    } catch (const CommError& error) {
      tell_all(failure(error.outcome()));
      throw;
    } catch (const Error& error) {
      tell_all(failure({error.status(), error.what(), {}}));
      throw;
    }
  }

 private:
  void gather(const Socket& listener) {
    for (std::vector<int> missing = missing_ranks(peers_); !missing.empty(); missing = missing_ranks(peers_)) {
      std::vector<pollfd> entries{{listener.file(), POLLIN, 0}};
      for (const Guest& guest : guests_) entries.push_back({guest.socket.file(), POLLIN, 0});
      for (const Socket& peer : peers_) {
        if (peer.is_valid()) entries.push_back({peer.file(), POLLIN, 0});
      }
      poll(entries.data(), entries.size(), milliseconds_until(deadline_));
      for (Socket socket = listener.accept(); socket.is_valid(); socket = listener.accept()) {
        guests_.push_back(Guest{std::move(socket), {}, 0});
      }
      hear_guests();
      check_peers();
      if (Clock::now() >= deadline_ && !missing_ranks(peers_).empty()) {
        missing = missing_ranks(peers_);
        throw CommError(MAGI_COMM_TIMEOUT, name_ranks(missing) + " of " + std::to_string(options_.world_size) +
                                               " did not join the job at " + options_.host + ":" +
                                               std::to_string(options_.port), missing);
      }
    }
  }

  void hear_guests() {
    for (size_t i = 0; i < guests_.size();) {
      Guest& guest = guests_[i];
      char* bytes = reinterpret_cast<char*>(&guest.hello);
      const int64_t count = guest.socket.read_some(bytes + guest.received, sizeof(Hello) - guest.received);
      if (count > 0) guest.received += static_cast<size_t>(count);
      const bool is_complete = guest.received == sizeof(Hello);
      if (is_complete) admit(std::move(guest));
      if (is_complete || count < 0) {
        guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  }

  void admit(Guest guest) {
    Hello& hello = guest.hello;
    if (std::memcmp(hello.magic, kMagic, sizeof(kMagic)) != 0) return;  // not one of us
    hello.token[sizeof(hello.token) - 1] = hello.host[sizeof(hello.host) - 1] = '\0';
    Hello own{};
    copy_text(own.token, options_.token);
    copy_text(own.host, host_identity());
    const std::string place = options_.host + ":" + std::to_string(options_.port);
    const bool is_foreign = std::strcmp(hello.token, own.token) != 0;
    const bool is_known = hello.rank >= 1 && hello.rank < options_.world_size &&
                          hello.world_size == options_.world_size && !peers_[static_cast<size_t>(hello.rank)].is_valid();
    if (is_foreign || !is_known) {
      // It belongs to another job: that one fails, this one goes on.
      const std::string who = "rank " + std::to_string(hello.rank) + " of " + std::to_string(hello.world_size);
      const std::string why = is_foreign ? "another job uses this address" : "this job has " +
                              std::to_string(options_.world_size) + " ranks, and none of them is missing under this number";
      const Reply reply = failure({MAGI_COMM_FAILED, who + " was refused at " + place + ": " + why, {}});
      guest.socket.write_all(&reply, sizeof(reply), deadline_);
      return;
    }
    if (std::strcmp(hello.host, own.host) != 0) {
      const int rank = hello.rank;
      peers_[static_cast<size_t>(rank)] = std::move(guest.socket);
      throw CommError(MAGI_UNSUPPORTED, "rank " + std::to_string(rank) +
                                            " runs on another machine than rank 0, or in a container with a /dev/shm of its own;"
                                            " the shm backend needs all ranks on one machine", {rank});
    }
    peers_[static_cast<size_t>(hello.rank)] = std::move(guest.socket);
  }

  // Ranks that have joined say nothing until they get the segment: what can be read is their end.
  void check_peers() {
    for (size_t rank = 1; rank < peers_.size(); ++rank) {
      char byte;
      if (!peers_[rank].is_valid() || peers_[rank].read_some(&byte, 1) == 0) continue;
      peers_[rank] = Socket();
      lost(static_cast<int>(rank));
    }
  }

  [[noreturn]] static void lost(int rank) {
    throw CommError(MAGI_COMM_PEER_LOST, "rank " + std::to_string(rank) + " ended while the job was starting", {rank});
  }

  BootstrapResult share_segment() {
    Reply reply{};
    reply.ring_bytes = choose_ring_bytes(options_);
    std::string name;
    Segment segment = Segment::create(&name);
    struct NameGuard {
      const std::string& name;
      ~NameGuard() { Segment::unlink(name); }
    } guard{name};
    segment.extend(kControlBytes);
    segment.allocate(0, kControlBytes);
    char* control = segment.map(0, kControlBytes);
    introduce(control, 0);
    options_.prepare(segment, reply.ring_bytes);
    copy_text(reply.segment, name);
    tell_all(reply);
    for (size_t rank = 1; rank < peers_.size(); ++rank) {
      Reply answer;
      if (!peers_[rank].read_all(&answer, sizeof(answer), deadline_)) lost(static_cast<int>(rank));
      throw_failure(answer);
    }
    Segment::unlink(name);
    tell_all(Reply{});
    return {std::move(segment), control, reply.ring_bytes, std::move(peers_)};
  }

  void tell_all(const Reply& reply) {
    for (const Socket& peer : peers_) {
      if (peer.is_valid()) peer.write_all(&reply, sizeof(reply), deadline_after(5));
    }
  }

  const BootstrapOptions& options_;
  const Deadline deadline_;
  std::vector<Socket> peers_;
  std::vector<Guest> guests_;
};

Reply hear(const Socket& socket, Deadline deadline) {
  Reply reply;
  if (socket.read_all(&reply, sizeof(reply), deadline)) {
    reply.message[sizeof(reply.message) - 1] = reply.segment[sizeof(reply.segment) - 1] = '\0';
    throw_failure(reply);
    return reply;
  }
  if (Clock::now() >= deadline) throw CommError(MAGI_COMM_TIMEOUT, "rank 0 did not start the job", {0});
  throw CommError(MAGI_COMM_PEER_LOST, "rank 0 ended while the job was starting", {0});
}

BootstrapResult join(const BootstrapOptions& options) {
  const Deadline deadline = deadline_after(options.timeout_seconds);
  Socket socket = Socket::connect(options.host, options.port, deadline);
  Hello hello{};
  std::memcpy(hello.magic, kMagic, sizeof(kMagic));
  hello.rank = options.rank;
  hello.world_size = options.world_size;
  copy_text(hello.token, options.token);
  copy_text(hello.host, host_identity());
  socket.write_all(&hello, sizeof(hello), deadline);

  // Rank 0 is the one that knows who is missing: it is given time to say so.
  const Deadline last = deadline + std::chrono::seconds(2);
  const Reply reply = hear(socket, last);
  const std::string name = reply.segment;
  try {
    Segment segment = Segment::open(name);
    char* control = segment.map(0, kControlBytes);
    introduce(control, options.rank);
    const Reply ready{};
    socket.write_all(&ready, sizeof(ready), last);
    hear(socket, last);
    BootstrapResult result{std::move(segment), control, reply.ring_bytes, {}};
    result.peers.push_back(std::move(socket));
    return result;
  } catch (const Error& error) {
    const Reply answer = failure({error.status(), "rank " + std::to_string(options.rank) + ": " + error.what(), {}});
    socket.write_all(&answer, sizeof(answer), last);
    throw;
  } catch (const CommError& error) {
    // Should rank 0 have been killed meanwhile, nobody else removes the name.
    if (error.outcome().status == MAGI_COMM_PEER_LOST) Segment::unlink(name);
    throw;
  }
}

}  // namespace

BootstrapResult bootstrap(const BootstrapOptions& options) {
  return options.rank == 0 ? Host(options).run() : join(options);
}

}  // namespace magi::comm
