#include "launch_counters.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "../common/cuda_check.hpp"

namespace magi::ffa::sm90 {

int32_t* launch_counters(int device, cudaStream_t stream) {
  // Handles are no keys: one may stand for a stream of each thread, or come again once its stream is gone.
  unsigned long long id = 0;
  check_cuda(cudaStreamGetId(stream, &id), "stream");
  static std::mutex mutex;
  static std::map<std::pair<int, unsigned long long>, int32_t*> counters;
  const std::lock_guard<std::mutex> lock(mutex);
  int32_t*& found = counters[{device, id}];
  if (found == nullptr) {
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check_cuda(cudaStreamIsCapturing(stream, &capture), "stream");
    if (capture != cudaStreamCaptureStatusNone) {
      fail(MAGI_UNSUPPORTED, "stream: attention has to run on a stream once before it can be captured there");
    }
    constexpr size_t kBytes = 2 * sizeof(int32_t);
    void* memory = nullptr;
    check_cuda(cudaMallocAsync(&memory, kBytes, stream), "work counters");
    check_cuda(cudaMemsetAsync(memory, 0, kBytes, stream), "work counters");
    found = static_cast<int32_t*>(memory);
  }
  return found;
}

}  // namespace magi::ffa::sm90
