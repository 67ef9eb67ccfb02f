// A persistent thread pool for fork-join loops: header-only, C++17, one pool for each library that includes it.
//
// A region borrows workers, runs its body on them and on the caller, and returns when all are done. A second region
// that begins while the pool is taken (another thread of the process, or a nested call) runs alone on its caller, so
// nothing waits for a pool that it holds itself.
//
// Include this from translation units compiled for the baseline instruction set only: its inline functions are shared
// by the whole library, and the linker may keep the copy of any one unit.
#ifndef MAGI_PARALLEL_HPP
#define MAGI_PARALLEL_HPP

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace magi {

// More threads than this are never used, whatever is asked for.
constexpr int kMaxThreads = 1024;

namespace detail {

inline void cpu_relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

// Spins until `ready()` or until the time is over; says whether it became ready.
template <typename Ready>
bool spin_until(Ready&& ready, std::chrono::microseconds limit) {
  if (ready()) return true;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 16; ++i) {
      cpu_relax();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

inline int64_t process_id() {
#if defined(_WIN32)
  return 0;  // no fork there
#else
  return static_cast<int64_t>(getpid());
#endif
}

// The CPU quota of this process's control group, in whole cores; 0 when there is none.
inline int cgroup_cores() {
#if defined(__linux__)
  long long quota = 0;
  long long period = 0;
  if (FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {  // "max 100000" where there is no limit
    if (std::fscanf(file, "%lld %lld", &quota, &period) != 2) quota = 0;
    std::fclose(file);
  } else {
    FILE* quota_file = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r");
    FILE* period_file = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
    if (quota_file != nullptr && std::fscanf(quota_file, "%lld", &quota) != 1) quota = 0;
    if (period_file != nullptr && std::fscanf(period_file, "%lld", &period) != 1) period = 0;
    if (quota_file != nullptr) std::fclose(quota_file);
    if (period_file != nullptr) std::fclose(period_file);
  }
  if (quota > 0 && period > 0) {
    return static_cast<int>(std::min<long long>((quota + period - 1) / period, kMaxThreads));
  }
#endif
  return 0;
}

inline int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
#endif
  if (const int quota = cgroup_cores(); quota > 0) cores = std::min(cores, quota);
  return std::clamp(cores, 1, kMaxThreads);
}

// One fork-join region: a body with its type erased, and the first exception that came out of it.
struct Region {
  void (*run)(void* body, int index, int num_threads);
  void* body;
  int num_threads;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
  std::exception_ptr error;

  void invoke(int index) noexcept {
    try {
      run(body, index, num_threads);
    } catch (...) {
      if (!failed.test_and_set()) error = std::current_exception();
    }
  }
};

class ThreadPool {
 public:
  // Whether a region waits for workers that have not begun when the caller is done. `kOptional` takes their turn back:
  // a loop whose chunks are claimed one by one is complete by then, and a slow wake-up costs nothing.
  enum class Join { kRequired, kOptional };

  // The pool, taken for the caller, or nullptr when it is in use.
  static ThreadPool* take() {
    ThreadPool* pool = current().load(std::memory_order_acquire);
    // Workers do not survive a fork: the child starts over, and leaks what the parent's copy held.
    if (pool == nullptr || pool->process_ != process_id()) {
      auto* fresh = new ThreadPool();
      if (current().compare_exchange_strong(pool, fresh, std::memory_order_acq_rel)) {
        pool = fresh;
      } else {
        delete fresh;  // another thread was quicker; this one has no workers yet
      }
    }
    return pool->busy_.test_and_set(std::memory_order_acquire) ? nullptr : pool;
  }

  void release() { busy_.clear(std::memory_order_release); }

  // Starts workers up to `wanted`; returns how many there are, fewer when the system refuses more.
  int ensure_workers(int wanted) {
    try {
      while (static_cast<int>(workers_.size()) < wanted) {
        workers_.reserve(workers_.size() + 1);
        auto worker = std::make_unique<Worker>();
        start(worker.get());
        workers_.push_back(worker.release());
      }
    } catch (...) {
    }
    return std::min(wanted, static_cast<int>(workers_.size()));
  }

  void run(Region& region, Join join) {
    const int num_workers = region.num_threads - 1;
    for (int i = 0; i < num_workers; ++i) post(*workers_[i], region, i + 1);
    region.invoke(0);
    for (int i = 0; i < num_workers; ++i) {
      Worker& worker = *workers_[i];
      int expected = kPending;
      if (join == Join::kOptional && worker.state.compare_exchange_strong(expected, kIdle)) continue;
      await(worker);
    }
  }

 private:
  enum State { kIdle, kPending, kRunning };

  struct alignas(64) Worker {
    std::atomic<int> state{kIdle};
    std::atomic<bool> sleeping{false};
    Region* region = nullptr;
    int index = 0;
    std::mutex mutex;
    std::condition_variable wake;
  };

  ThreadPool() : process_(process_id()) {}

  static std::atomic<ThreadPool*>& current() {
    static std::atomic<ThreadPool*> pool{nullptr};  // never deleted: workers may outlive static destruction
    return pool;
  }

  static std::chrono::microseconds spin_time() {
    static const bool alone = usable_cores() == 1;
    return std::chrono::microseconds(alone ? 0 : 20);
  }

  // `sleeping` and `state` are a pair: each side writes its own and then reads the other's, sequentially consistent, so
  // that either the worker sees the work or the poster sees the sleeper.
  static void post(Worker& worker, Region& region, int index) {
    worker.region = &region;
    worker.index = index;
    worker.state.store(kPending);
    if (worker.sleeping.load()) {
      const std::lock_guard<std::mutex> lock(worker.mutex);
      worker.wake.notify_one();
    }
  }

  void await(Worker& worker) {
    const auto done = [&] { return worker.state.load() == kIdle; };
    if (spin_until(done, spin_time())) return;
    std::unique_lock<std::mutex> lock(done_mutex_);
    caller_sleeping_.store(true);
    done_.wait(lock, done);
    caller_sleeping_.store(false);
  }

  void work(Worker& worker) {
    for (;;) {
      const auto pending = [&] { return worker.state.load() == kPending; };
      if (!spin_until(pending, spin_time())) {
        std::unique_lock<std::mutex> lock(worker.mutex);
        worker.sleeping.store(true);
        worker.wake.wait(lock, pending);
        worker.sleeping.store(false);
      }
      int expected = kPending;
      if (!worker.state.compare_exchange_strong(expected, kRunning)) continue;  // taken back meanwhile
      worker.region->invoke(worker.index);
      worker.state.store(kIdle);  // from here on the region may be gone
      if (caller_sleeping_.load()) {
        const std::lock_guard<std::mutex> lock(done_mutex_);
        done_.notify_one();
      }
    }
  }

  void start(Worker* worker) {
#if !defined(_WIN32)
    // Signals are for the threads of the host program.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    const bool masked = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
    struct Restore {
      bool masked;
      const sigset_t* before;
      ~Restore() {
        if (masked) pthread_sigmask(SIG_SETMASK, before, nullptr);
      }
    } restore{masked, &before};
#endif
    std::thread([this, worker] { work(*worker); }).detach();
  }

  const int64_t process_;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::vector<Worker*> workers_;
  std::mutex done_mutex_;
  std::condition_variable done_;
  std::atomic<bool> caller_sleeping_{false};
};

template <typename Body>
void run_region(int num_threads, Body& body, ThreadPool::Join join) {
  num_threads = std::min(num_threads, kMaxThreads);
  ThreadPool* pool = num_threads > 1 ? ThreadPool::take() : nullptr;
  if (pool == nullptr) {
    body(0, 1);
    return;
  }
  Region region;
  region.run = [](void* erased, int index, int count) { (*static_cast<Body*>(erased))(index, count); };
  region.body = const_cast<void*>(static_cast<const void*>(std::addressof(body)));
  region.num_threads = 1 + pool->ensure_workers(num_threads - 1);
  pool->run(region, join);
  pool->release();
  if (region.error) std::rethrow_exception(region.error);
}

}  // namespace detail

// Threads to use when nothing is said: MAGI_ATTENTION_NUM_THREADS if it is a positive integer, else the number of cores
// that this process may use. Read once.
inline int default_num_threads() {
  static const int value = [] {
    if (const char* text = std::getenv("MAGI_ATTENTION_NUM_THREADS"); text != nullptr && *text != '\0') {
      char* end = nullptr;
      errno = 0;
      const long parsed = std::strtol(text, &end, 10);
      if (errno == 0 && *end == '\0' && parsed > 0) return static_cast<int>(std::min<long>(parsed, kMaxThreads));
    }
    return detail::usable_cores();
  }();
  return value;
}

// Runs body(thread_index, num_threads) once on each of `num_threads` threads, the caller among them, and returns when
// all have finished. The body must go by the count that it is given: it is smaller than asked for (1 inside another
// region) when threads are not to be had. The first exception is rethrown here once all are done.
template <typename F>
void parallel_run(int num_threads, F&& body) {
  detail::run_region(num_threads, body, detail::ThreadPool::Join::kRequired);
}

// Runs body(begin, end) over [0, count) in chunks of `grain`, claimed dynamically. The chunks depend on count and grain
// alone, so what a body computes for a chunk cannot depend on the number of threads.
template <typename F>
void parallel_for(int num_threads, int64_t count, int64_t grain, F&& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t num_chunks = (count - 1) / grain + 1;
  const int threads = static_cast<int>(std::min<int64_t>(num_threads, num_chunks));
  std::atomic<int64_t> next{0};
  auto claim = [&](int, int) {
    try {
      for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < num_chunks;) {
        const int64_t begin = chunk * grain;
        body(begin, begin + std::min(grain, count - begin));
      }
    } catch (...) {
      next.store(num_chunks, std::memory_order_relaxed);  // no further chunk begins
      throw;
    }
  };
  detail::run_region(threads, claim, detail::ThreadPool::Join::kOptional);
}

}  // namespace magi

#endif
