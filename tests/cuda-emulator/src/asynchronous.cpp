#include "emulator/asynchronous.hpp"

#include <cstring>

#include "emulator/block.hpp"
#include "emulator/language.hpp"
#include "emulator/memory_barrier.hpp"
#include "emulator/tensor_map.hpp"
#include "tensor_cores.hpp"

namespace emulator {
namespace {

void check_multiple(const char* what, uint64_t value, uint64_t of) {
  if (value % of != 0) throw KernelError(std::string(what) + ": " + std::to_string(value) + " is no multiple of " + std::to_string(of));
}

void commit(AsyncGroups& groups) {
  groups.committed.push_back(std::move(groups.open));
  groups.open.clear();
}

void wait(AsyncGroups& groups, int pending) {
  const int count = static_cast<int>(groups.committed.size()) - pending;
  if (count <= 0) return;
  for (int i = 0; i < count; ++i) {
    for (const auto& operation : groups.committed[static_cast<size_t>(i)]) Block::finish(*operation);
  }
  groups.committed.erase(groups.committed.begin(), groups.committed.begin() + count);
}

Warpgroup& own_warpgroup(int& thread) {
  thread = block().self().number % Warpgroup::kThreads;
  return block().warpgroup(block().self().number / Warpgroup::kThreads);
}

}  // namespace

void load_tensor(void* shared, const CUtensorMap* map, uint64_t* barrier, int c0, int c1, int c2, int c3, int c4) {
  const TensorMap described = TensorMap::of(map);
  const uint32_t address = block().shared_address(shared);
  char* target = block().at_shared(address, described.box_bytes());
  // Whoever reads before the barrier says so reads this.
  std::memset(target, 0xff, described.box_bytes());
  block().mark_loaded(address, described.box_bytes());
  block().later([=] {
    load_box(described, target, address, {c0, c1, c2, c3, c4});
    MemoryBarrier::complete_bytes(barrier, described.box_bytes());
  });
}

void load_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
  const uint32_t address = block().shared_address(shared);
  check_multiple("bulk copy, shared address", address, 16);
  check_multiple("bulk copy, global address", reinterpret_cast<uintptr_t>(global), 16);
  check_multiple("bulk copy, bytes", bytes, 16);
  char* target = block().at_shared(address, bytes);
  std::memset(target, 0xff, bytes);
  block().later([=] {
    std::memcpy(target, global, bytes);
    MemoryBarrier::complete_bytes(barrier, bytes);
  });
}

void store_tensor(const CUtensorMap* map, const void* shared, int c0, int c1, int c2, int c3, int c4) {
  const TensorMap described = TensorMap::of(map);
  const uint32_t address = block().shared_address(shared);
  const char* source = block().at_shared(address, described.box_bytes());
  for (uint32_t i = 0; i < described.box_bytes(); i += 16) block().check_fenced(address + i);
  block().self().bulk_stores.open.push_back(
      block().later([=] { store_box(described, source, address, {c0, c1, c2, c3, c4}); }));
}

void add_bulk(float* global, const float* shared, uint32_t bytes) {
  const uint32_t address = block().shared_address(shared);
  check_multiple("bulk reduction, shared address", address, 16);
  check_multiple("bulk reduction, global address", reinterpret_cast<uintptr_t>(global), 16);
  check_multiple("bulk reduction, bytes", bytes, 16);
  block().at_shared(address, bytes);
  block().self().bulk_stores.open.push_back(block().later([=] {
    for (uint32_t i = 0; i < bytes / 4; ++i) atomicAdd(global + i, shared[i]);
  }));
}

void commit_bulk() { commit(block().self().bulk_stores); }
void wait_bulk(int pending) { wait(block().self().bulk_stores, pending); }

void copy_async(uint32_t shared, const void* global, uint32_t bytes, bool valid) {
  check_multiple("cp.async, shared address", shared, bytes);
  if (valid) check_multiple("cp.async, global address", reinterpret_cast<uintptr_t>(global), bytes);
  char* target = block().at_shared(shared, bytes);
  std::memset(target, 0xff, bytes);
  block().self().copies.open.push_back(block().later([=] {
    if (valid) std::memcpy(target, global, bytes);
    else std::memset(target, 0, bytes);
  }));
}

void commit_copies() { commit(block().self().copies); }
void wait_copies(int pending) { wait(block().self().copies, pending); }

void issue_product(int columns, bool bfloat16, bool transposed_a, bool transposed_b, float* d, uint64_t a,
                   const uint32_t* a_registers, uint64_t b, bool add) {
  int thread;
  Warpgroup& warpgroup = own_warpgroup(thread);
  warpgroup.issue(thread, {columns, bfloat16, transposed_a, transposed_b, a_registers != nullptr}, d, a, a_registers, b, add);
}

void commit_products() {
  int thread;
  own_warpgroup(thread).commit(thread);
}

void wait_products(int pending) {
  int thread;
  own_warpgroup(thread).wait(thread, pending);
}

}  // namespace emulator
