#include "monitor.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace magi::comm {

Monitor::Monitor(Control& control, int rank, int world_size, std::vector<Socket> peers)
    : control_(control), world_size_(world_size), stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (size_t i = 0; i < peers.size(); ++i) {
    if (peers[i].is_valid()) watches_.push_back({std::move(peers[i]), rank == 0 ? static_cast<int>(i) : 0, true});
  }
  // Connections lead to rank 0 only: processes are watched as well, for the end of any of them while rank 0 has left.
  const uint64_t own_namespace = control.ranks[rank].process_namespace.load();
  for (int other = 0; other < world_size; ++other) {
    const RankControl& entry = control.ranks[other];
    if (other == rank || own_namespace == 0 || entry.process_namespace.load() != own_namespace) continue;
    const int file = static_cast<int>(syscall(SYS_pidfd_open, entry.process.load(), 0));
    if (file >= 0) watches_.push_back({Socket(file), other, false});
  }
  // Signals are for the threads of the program.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Monitor::~Monitor() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_.file(), &one, sizeof(one));
  thread_.join();
}

void Monitor::run() {
  for (;;) {
    std::vector<pollfd> entries{{stop_.file(), POLLIN, 0}};
    for (const Watch& watch : watches_) entries.push_back({watch.file.file(), POLLIN, 0});
    if (poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
    if (entries[0].revents != 0) return;
    for (size_t i = watches_.size(); i-- > 0;) {
      if (entries[i + 1].revents == 0) continue;
      char byte;
      // A process descriptor becomes readable when its process ends, a connection when it closes.
      if (watches_[i].is_connection && watches_[i].file.read_some(&byte, 1) >= 0) continue;
      control_.mark_lost(watches_[i].rank, world_size_);
      watches_.erase(watches_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace magi::comm
