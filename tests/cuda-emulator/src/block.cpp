#include "emulator/block.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "emulator/device.hpp"
#include "tensor_cores.hpp"

namespace emulator {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kArenaBytes = kReservedSharedMemory + kSharedMemory;
// In which no block of a launch does anything.
constexpr auto kPatience = std::chrono::seconds(20);

thread_local Block* running = nullptr;

// Counts what all blocks do: as long as it grows, a block that waits for others may hope.
std::atomic<uint64_t> progress{0};
std::atomic<bool> failed{false};  // a block of this launch: the others end, too

struct Abandoned {};

// Blocks that no launch uses. The stacks of their threads are dear.
std::mutex idle_mutex;
std::vector<std::unique_ptr<Block>>& idle_blocks() {
  static auto* const all = new std::vector<std::unique_ptr<Block>>();
  return *all;
}

std::unique_ptr<Block> take_block() {
  const std::lock_guard<std::mutex> lock(idle_mutex);
  if (idle_blocks().empty()) return std::make_unique<Block>();
  std::unique_ptr<Block> found = std::move(idle_blocks().back());
  idle_blocks().pop_back();
  return found;
}

void give_back(std::unique_ptr<Block> block) {
  const std::lock_guard<std::mutex> lock(idle_mutex);
  idle_blocks().push_back(std::move(block));
}

}  // namespace

Block& block() { return *running; }

Block::Block()
    : arena_(static_cast<char*>(std::aligned_alloc(1024, (kArenaBytes + 1023) / 1024 * 1024)), [](void* memory) { std::free(memory); }),
      named_barriers_(kNamedBarriers) {}

Block::~Block() = default;

void Block::reseed(uint64_t seed) { random_.seed(static_cast<uint32_t>(seed % 2147483646 + 1)); }

uint32_t Block::shared_address(const void* pointer) const {
  const ptrdiff_t offset = static_cast<const char*>(pointer) - arena_.get();
  if (offset < static_cast<ptrdiff_t>(kReservedSharedMemory) || offset > static_cast<ptrdiff_t>(kArenaBytes)) {
    throw KernelError("the address of something that is not in dynamic shared memory");
  }
  return static_cast<uint32_t>(offset);
}

void Block::fail_at_shared(uint32_t address) const {
  throw KernelError("shared memory is accessed at " + std::to_string(address) + ", beyond the " +
                    std::to_string(launch_->shared_bytes) + " bytes that were asked for");
}

void Block::fail_unfenced(uint32_t address) const {
  throw KernelError("shared memory at " + std::to_string(address) + " is read by TMA or wgmma, but thread " +
                    std::to_string(written_[address / kUnit].thread) + ", which wrote it, has made no fence.proxy.async since");
}

NamedBarrier& Block::named_barrier(int id) {
  if (id < 0 || id >= kNamedBarriers) throw KernelError("there is no named barrier " + std::to_string(id));
  return named_barriers_[static_cast<size_t>(id)];
}

AsyncOperationPointer Block::later(std::function<void()> perform) {
  auto operation = std::make_shared<AsyncOperation>();
  operation->perform = std::move(perform);
  pending_.push_back(operation);
  return operation;
}

void Block::finish(AsyncOperation& operation) {
  if (operation.done) return;
  operation.done = true;
  operation.perform();
}

void Block::suspend(bool (*test)(void*), void* argument, const char* what, int64_t detail, bool on_others) {
  Thread& thread = *current_;
  thread.test = test;
  thread.argument = argument;
  thread.waits_for = what;
  thread.detail = detail;
  thread.on_others = on_others;
  thread.fiber.suspend();
}

void Block::run(const Launch& launch, uint3 index) {
  running = this;
  launch_ = &launch;
  index_ = index;
  shared_end_ = kReservedSharedMemory + launch.shared_bytes;
  const int count = static_cast<int>(launch.threads.x * launch.threads.y * launch.threads.z);
  std::memset(arena_.get(), 0xff, kArenaBytes);  // NaN in all formats
  warps_.assign(static_cast<size_t>((count + kWarpSize - 1) / kWarpSize), Warp{});
  warpgroups_.clear();
  for (int i = 0; i < count; i += Warpgroup::kThreads) warpgroups_.push_back(std::make_unique<Warpgroup>());
  named_barriers_.assign(kNamedBarriers, NamedBarrier{});
  pending_.clear();
  written_.assign(kArenaBytes / kUnit + 1, {kNobody, 0});
  std::exception_ptr error;
  while (static_cast<int>(threads_.size()) < count) threads_.push_back(std::make_unique<Thread>(kStackBytes));
  for (int i = 0; i < count; ++i) {
    Thread& thread = *threads_[static_cast<size_t>(i)];
    thread.number = i;
    thread.done = false;
    thread.test = nullptr;
    thread.fences = 0;
    thread.bulk_stores = {};
    thread.copies = {};
    thread.fiber.start([this, &thread, &error] {
      // Fibers cannot throw into each other.
      try {
        launch_->body();
      } catch (...) {
        if (!error) error = std::current_exception();
      }
      thread.done = true;
      --live_;
    });
  }
  live_ = count;

  std::vector<int> order(warps_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  while (live_ > 0 && !error) {
    if (failed.load(std::memory_order_relaxed)) throw Abandoned{};
    std::swap(order[random_() % order.size()], order[random_() % order.size()]);
    bool any = false;
    bool paused = false;
    for (const int warp : order) {
      if (warps_[static_cast<size_t>(warp)].pause > 0) {
        --warps_[static_cast<size_t>(warp)].pause;
        paused = true;
        continue;
      }
      // Now and then a warp falls far behind the others.
      if (chance(64)) warps_[static_cast<size_t>(warp)].pause = static_cast<int>(random_() % 60);
      any = run_warp(warp) || any;
      if (error) break;
    }
    any = perform_some(!any && !paused) || any;
    if (any) {
      progress.fetch_add(1, std::memory_order_relaxed);
    } else if (!paused && !error) {
      wait_for_other_blocks();
    }
  }
  if (error) std::rethrow_exception(error);
  while (perform_some(true)) {
  }
}

bool Block::run_warp(int warp) {
  bool any = false;
  const int begin = warp * kWarpSize;
  const int end = std::min(begin + kWarpSize, static_cast<int>(launch_->threads.x * launch_->threads.y * launch_->threads.z));
  const int first = begin + static_cast<int>(random_() % kWarpSize);
  for (int i = 0; i < end - begin; ++i) {
    const int number = begin + (first - begin + i) % (end - begin);
    Thread& thread = *threads_[static_cast<size_t>(number)];
    if (thread.done) continue;
    if (thread.test != nullptr) {
      if (!thread.test(thread.argument)) continue;
      thread.test = nullptr;
    }
    any = true;
    current_ = &thread;
    thread.fiber.resume();
  }
  return any;
}

bool Block::perform_some(bool must) {
  bool any = false;
  while (!pending_.empty() && (must || chance(2))) {
    const size_t which = random_() % pending_.size();
    const AsyncOperationPointer operation = pending_[which];
    pending_[which] = pending_.back();
    pending_.pop_back();
    any = any || !operation->done;
    finish(*operation);
    if (any) must = false;
  }
  return any;
}

void Block::wait_for_other_blocks() {
  bool hope = false;
  for (const auto& thread : threads_) hope = hope || (!thread->done && thread->test != nullptr && thread->on_others);
  if (hope) {
    static thread_local uint64_t seen = 0;
    static thread_local std::chrono::steady_clock::time_point since;
    const uint64_t now = progress.load(std::memory_order_relaxed);
    if (now != seen) {
      seen = now;
      since = std::chrono::steady_clock::now();
    }
    if (std::chrono::steady_clock::now() - since < kPatience) {
      std::this_thread::yield();
      return;
    }
  }
  throw KernelError("deadlock in block " + std::to_string(index_.x) + ":\n" + describe_threads());
}

// What the warps wait for.
std::string Block::describe_threads() const {
  std::string text;
  for (size_t warp = 0; warp < warps_.size(); ++warp) {
    std::map<std::string, std::string> lanes;
    for (size_t i = warp * kWarpSize; i < (warp + 1) * kWarpSize && i < threads_.size(); ++i) {
      const Thread& thread = *threads_[i];
      const std::string what =
          thread.done ? "done" : thread.test == nullptr ? "ready" : thread.waits_for + (" " + std::to_string(thread.detail));
      lanes[what] += " " + std::to_string(i % kWarpSize);
    }
    for (const auto& [what, which] : lanes) {
      text += "  warp " + std::to_string(warp) + ": " + what + (lanes.size() > 1 ? " (lanes" + which + ")" : "") + "\n";
    }
  }
  return text;
}

void run_launch(const Launch& launch) {
  static std::mutex one_at_a_time;
  static std::atomic<uint64_t> launches{0};
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  const uint64_t seed = options().seed + 1000003 * launches++;
  const int64_t count = static_cast<int64_t>(launch.grid.x) * launch.grid.y * launch.grid.z;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  failed = false;
  const auto work = [&](int worker) {
    std::unique_ptr<Block> own = take_block();
    own->reseed(seed + 7919 * static_cast<uint64_t>(worker));
    try {
      for (int64_t i = next++; i < count; i = next++) {
        uint3 index;
        index.x = static_cast<unsigned>(i % launch.grid.x);
        index.y = static_cast<unsigned>(i / launch.grid.x % launch.grid.y);
        index.z = static_cast<unsigned>(i / launch.grid.x / launch.grid.y);
        own->run(launch, index);
      }
      give_back(std::move(own));
    } catch (const Abandoned&) {
    } catch (...) {
      const std::lock_guard<std::mutex> guard(mutex);
      if (!error) error = std::current_exception();
      failed = true;
    }
  };
  std::vector<std::thread> workers;
  const int64_t at_a_time = std::min<int64_t>(count, options().num_sms);
  for (int64_t i = 0; i < at_a_time; ++i) workers.emplace_back(work, static_cast<int>(i));
  for (std::thread& worker : workers) worker.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace emulator
