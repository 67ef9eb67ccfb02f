// A word in shared memory on which one rank's driver sleeps and which any rank rings.
#ifndef MAGI_COMM_DOORBELL_HPP
#define MAGI_COMM_DOORBELL_HPP

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>

namespace magi::comm {

static_assert(std::atomic<uint32_t>::is_always_lock_free && std::atomic<uint64_t>::is_always_lock_free,
              "atomics in shared memory must not need locks");

struct alignas(64) Doorbell {
  std::atomic<uint32_t> value;
  std::atomic<uint32_t> is_sleeping;

  void ring() {
    value.fetch_add(1, std::memory_order_seq_cst);
    if (is_sleeping.load(std::memory_order_seq_cst) != 0) {
      syscall(SYS_futex, &value, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    }
  }

  // Sleeps until the bell was rung since `seen` was read, but not longer than `limit`.
  void sleep(uint32_t seen, std::chrono::nanoseconds limit) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    timespec time;
    time.tv_sec = static_cast<time_t>(seconds.count());
    time.tv_nsec = static_cast<long>((limit - seconds).count());
    syscall(SYS_futex, &value, FUTEX_WAIT, seen, &time, nullptr, 0);
  }
};

}  // namespace magi::comm

#endif
