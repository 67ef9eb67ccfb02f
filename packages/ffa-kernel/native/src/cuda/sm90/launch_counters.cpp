#include "launch_counters.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "../common/cuda_check.hpp"

namespace magi::ffa::sm90 {

int32_t* launch_counters(int device, cudaStream_t stream) {
  static std::mutex mutex;
  static std::map<std::pair<int, cudaStream_t>, int32_t*> counters;
  const std::lock_guard<std::mutex> lock(mutex);
  int32_t*& found = counters[{device, stream}];
  if (found == nullptr) {
    constexpr size_t kBytes = 2 * sizeof(int32_t);
    void* memory = nullptr;
    check_cuda(cudaMallocAsync(&memory, kBytes, stream), "work counters");
    check_cuda(cudaMemsetAsync(memory, 0, kBytes, stream), "work counters");
    found = static_cast<int32_t*>(memory);
  }
  return found;
}

}  // namespace magi::ffa::sm90
