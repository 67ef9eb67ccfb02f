// A block of CUDA threads: each is a fiber, and all of a block share one thread of the operating system. They run in an order that
// changes with the seed, and switch only where they wait for each other; whoever relies on more than the synchronisation that
// it asks for gets wrong results, poison or a report of the deadlock.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <cuda_runtime.h>

#include "emulator/fiber.hpp"

namespace emulator {

constexpr int kWarpSize = 32;
constexpr int kNamedBarriers = 16;
constexpr size_t kSharedMemory = 233472;      // of a multiprocessor: 228 KB
constexpr size_t kReservedSharedMemory = 1024;  // of a block, before its own

// What a kernel does wrong. Ends the launch.
struct KernelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Something that the hardware does on its own account: it happens at some time, at the latest when someone waits for it.
struct AsyncOperation {
  std::function<void()> perform;
  bool done = false;
};
using AsyncOperationPointer = std::shared_ptr<AsyncOperation>;

// Operations of one thread, in the groups in which it committed them.
struct AsyncGroups {
  std::vector<AsyncOperationPointer> open;
  std::vector<std::vector<AsyncOperationPointer>> committed;
};

struct Thread {
  explicit Thread(size_t stack_bytes) : fiber(stack_bytes) {}

  Fiber fiber;
  int number = 0;  // in the block
  bool done = false;
  // Waiting until test(argument); null: ready.
  bool (*test)(void*) = nullptr;
  void* argument = nullptr;
  bool on_others = false;  // the test depends on other blocks
  const char* waits_for = "";
  uint32_t fences = 0;  // proxy fences so far
  int64_t detail = 0;
  AsyncGroups bulk_stores;
  AsyncGroups copies;  // cp.async
};

struct NamedBarrier {
  int arrived = 0;
  int expected = 0;
  uint64_t generation = 0;
  bool any = false;      // of the votes so far
  bool last_any = false;  // of the generation before
};

// Lanes exchange values in steps that all lanes of a mask take together.
struct Warp {
  static constexpr int kBytes = 32;
  alignas(16) char given[kWarpSize][kBytes];
  alignas(16) char taken[kWarpSize][kBytes];
  uint32_t arrived = 0;
  uint32_t generation[kWarpSize] = {};
  int pause = 0;  // rounds of the scheduler to sit out
};

class Warpgroup;  // tensor_cores.cpp

struct Launch;

class Block {
 public:
  Block();
  ~Block();
  // The order of all that has none.
  void reseed(uint64_t seed);

  // Runs one block of the launch from begin to end.
  void run(const Launch& launch, uint3 index);

  Thread& self() { return *current_; }
  Warp& warp() { return warps_[current_->number / kWarpSize]; }
  int lane() const { return current_->number % kWarpSize; }
  const Launch& launch() const { return *launch_; }
  const uint3& index() const { return index_; }
  Warpgroup& warpgroup(int number) { return *warpgroups_[number]; }
  NamedBarrier& named_barrier(int id);
  char* shared() { return arena_.get() + kReservedSharedMemory; }
  // Addresses in shared memory, as 32 bits.
  uint32_t shared_address(const void* pointer) const;
  char* at_shared(uint32_t address, size_t bytes) {
    if (address < kReservedSharedMemory || address + bytes > shared_end_) fail_at_shared(address);
    return arena_.get() + address;
  }

  // Writes by instructions, and reads by the engines of the hardware (the "async proxy"), which see such a write only if its thread
  // has made a fence since. Ordinary stores are not followed.
  void mark_written(uint32_t address, uint32_t bytes) {
    for (uint32_t unit = address / kUnit; unit <= (address + bytes - 1) / kUnit; ++unit) {
      written_[unit] = {current_->number, current_->fences};
    }
  }
  void mark_fence() { ++current_->fences; }
  void mark_loaded(uint32_t address, uint32_t bytes) {
    for (uint32_t unit = address / kUnit; unit < (address + bytes) / kUnit; ++unit) written_[unit].thread = kNobody;
  }
  void check_fenced(uint32_t address) const {
    const Write& write = written_[address / kUnit];
    if (write.thread != kNobody && threads_[static_cast<size_t>(write.thread)]->fences == write.fences) fail_unfenced(address);
  }

  // Suspends the current thread until ready(). on_others: what it looks at is changed by other blocks.
  template <typename Ready>
  void wait_until(const char* what, int64_t detail, bool on_others, Ready ready) {
    if (ready() && !chance(8)) return;
    suspend([](void* test) { return (*static_cast<Ready*>(test))(); }, &ready, what, detail, on_others);
  }

  // Lets an operation happen at some time.
  AsyncOperationPointer later(std::function<void()> perform);
  static void finish(AsyncOperation& operation);
  // Once in n times.
  bool chance(int n) { return random_() % static_cast<uint32_t>(n) == 0; }

 private:
  static constexpr uint32_t kUnit = 16;
  static constexpr int kNobody = -1;
  struct Write {
    int thread;
    uint32_t fences;  // of that thread, when it wrote
  };

  [[noreturn]] void fail_unfenced(uint32_t address) const;
  void suspend(bool (*test)(void*), void* argument, const char* what, int64_t detail, bool on_others);
  [[noreturn]] void fail_at_shared(uint32_t address) const;
  bool run_warp(int warp);
  bool perform_some(bool must);
  void wait_for_other_blocks();
  std::string describe_threads() const;

  std::minstd_rand random_;
  std::unique_ptr<char[], void (*)(void*)> arena_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Warpgroup>> warpgroups_;
  std::vector<NamedBarrier> named_barriers_;
  std::vector<AsyncOperationPointer> pending_;
  std::vector<Write> written_;  // of each unit of shared memory
  Thread* current_ = nullptr;
  const Launch* launch_ = nullptr;
  uint3 index_{};
  size_t shared_end_ = 0;
  int live_ = 0;
};

// The block that this thread of the operating system runs.
Block& block();

// One launch of a kernel.
struct Launch {
  dim3 grid;
  dim3 threads;
  size_t shared_bytes;
  std::function<void()> body;  // of a thread
};

// Runs all blocks of a launch, as many at a time as the device has multiprocessors. Throws KernelError.
void run_launch(const Launch& launch);

}  // namespace emulator
