// What the emulator must find out: each kernel here is wrong in one way, but for the first.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "ffa/instructions.hpp"

namespace {

using namespace magi::ffa;
using namespace magi::ffa::sm90;

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  ++failures;
}

// Runs blocks of 256 threads. Returns what went wrong, or nothing.
std::string run(std::function<void()> body, unsigned blocks = 1) {
  try {
    emulator::run_launch({dim3(blocks), dim3(256), 4096, std::move(body)});
  } catch (const emulator::KernelError& error) {
    return error.what();
  }
  return "";
}

bool fails_with(const char* text, const std::function<void()>& body) { return run(body).find(text) != std::string::npos; }

uint64_t* first_barrier() { return reinterpret_cast<uint64_t*>(dynamic_shared()); }

void init_barrier(uint32_t count) {
  if (threadIdx.x == 0) barrier_init(first_barrier(), count);
  __syncthreads();
}

void sum_of_all_threads(int* sum) {
  const int in_warp = __reduce_add_sync(emulator::kAllLanes, static_cast<int>(threadIdx.x));
  if (threadIdx.x % 32 == 0) atomicAdd(sum, in_warp);
  __syncthreads();
  expect(*sum % (255 * 128) == 0, "after a barrier, what all threads of a block did before is there");
}

// Whether a thread that does not wait for a copy may read what was there before.
bool reads_early(bool waits) {
  alignas(16) static int source[4] = {1, 2, 3, 4};
  bool poisoned = false;
  for (int attempt = 0; attempt < 20; ++attempt) {
    run([&] {
      init_barrier(1);
      if (threadIdx.x != 0) return;
      int* target = reinterpret_cast<int*>(dynamic_shared() + 128);
      barrier_arrive_expect(first_barrier(), 16);
      bulk_load(target, source, 16, first_barrier());
      if (waits) barrier_wait(first_barrier(), 0);
      poisoned = poisoned || target[2] != 3;
    });
  }
  return poisoned;
}

void multiply(bool waits, float* result) {
  if (threadIdx.x >= 128) return;
  float d[16];
  const uint32_t ones[4] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};
  // B, [32, 16], lies in rows of 128 bytes: all ones.
  char* shared = dynamic_shared();
  const uint32_t gap = (1024 - smem_address(shared) % 1024) % 1024;
  for (uint32_t i = threadIdx.x; i < 512; i += 128) store_shared(smem_address(shared) + gap + 4 * i, 0x3f803f80);
  named_barrier_sync(1, 128);
  const uint64_t descriptor = uint64_t{1} << 62 | uint64_t{1024 >> 4} << 32 | (smem_address(shared) + gap) >> 4;
  wgmma_rs<__nv_bfloat16, 32, 1>(d, ones, descriptor, false);
  wgmma_commit();
  if (waits) wgmma_wait<0>();
  if (threadIdx.x == 77) *result = d[5];
  wgmma_wait<0>();
}

}  // namespace

int main() {
  int sum = 0;
  expect(run([&] { sum_of_all_threads(&sum); }).empty() && sum == 255 * 128, "a correct kernel runs");
  int many = 0;
  expect(run([&] { atomicAdd(&many, 1); }, 100).empty() && many == 25600, "all blocks run");

  expect(!reads_early(true), "a copy that was waited for is there");
  expect(reads_early(false), "a copy that was not waited for is not there");
  float product = 0;
  expect(run([&] { multiply(true, &product); }).empty() && product == 16.0f, "a product that was waited for is there");
  expect(run([&] { multiply(false, &product); }).empty() && std::isnan(product), "one that was not is NaN");

  const auto store_and_multiply = [](bool fence) {
    if (threadIdx.x >= 128) return;
    const uint32_t begin = (smem_address(dynamic_shared()) + 1023) / 1024 * 1024;
    store_matrices(begin + 16 * (threadIdx.x % 32), 0, 0, 0, 0);
    if (fence) fence_async_proxy();
    named_barrier_sync(1, 128);
    float d[16];
    const uint32_t a[4] = {};
    wgmma_rs<__nv_bfloat16, 32, 1>(d, a, uint64_t{1} << 62 | uint64_t{1024 >> 4} << 32 | begin >> 4, false);
    wgmma_commit();
    wgmma_wait<0>();
  };
  expect(fails_with("no fence", [&] { store_and_multiply(false); }), "a product that reads what was stored without a fence");
  expect(run([&] { store_and_multiply(true); }).empty(), "and with one");

  expect(fails_with("deadlock", [] {
           init_barrier(2);
           if (threadIdx.x == 0) barrier_arrive(first_barrier());
           barrier_wait(first_barrier(), 0);
         }),
         "a wait for what never comes is a deadlock");
  expect(fails_with("deadlock", [] {
           if (threadIdx.x % 32 != 3) __syncwarp();
         }),
         "a warp that waits for a lane that is gone is a deadlock");
  expect(fails_with("more arrivals", [] {
           init_barrier(1);
           barrier_arrive_expect(first_barrier(), 16);
         }),
         "arrivals beyond a barrier's count");
  expect(fails_with("before it was initialised", [] { barrier_arrive(first_barrier()); }), "a barrier that was not initialised");
  expect(fails_with("beyond the 4096 bytes", [] { store_shared(smem_address(dynamic_shared()) + 4096, 1); }),
         "shared memory beyond what was asked for");
  expect(fails_with("do not agree on their product", [] {
           float d[16];
           const uint32_t a[4] = {};
           wgmma_rs<__nv_bfloat16, 32, 1>(d, a, threadIdx.x == 5 ? 1 : 2, false);
         }),
         "threads that ask for different products");
  expect(fails_with("size of a barrier", [] { named_barrier_sync(1, threadIdx.x < 32 ? 64 : 96); }), "a barrier of two sizes");
  if (failures == 0) std::printf("ok\n");
  return failures;
}
