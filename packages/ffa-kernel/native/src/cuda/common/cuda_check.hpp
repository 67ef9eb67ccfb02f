// CUDA calls that fail become a magi::Error.
#ifndef MAGI_FFA_CUDA_CHECK_HPP
#define MAGI_FFA_CUDA_CHECK_HPP

#include <cuda_runtime_api.h>
#include <magi/status.hpp>

namespace magi::ffa {

inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  // The error must not surface once more in a later, innocent call.
  cudaGetLastError();
  const int32_t status = error == cudaErrorMemoryAllocation ? MAGI_OUT_OF_MEMORY : MAGI_DEVICE_ERROR;
  fail(status, "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

// Device memory for the length of a call, taken from and given back to the stream's pool in stream order.
class StreamMemory {
 public:
  StreamMemory(size_t bytes, cudaStream_t stream) : stream_(stream) {
    if (bytes > 0) check_cuda(cudaMallocAsync(&memory_, bytes, stream), "workspace");
  }
  ~StreamMemory() {
    if (memory_ != nullptr) cudaFreeAsync(memory_, stream_);
  }
  StreamMemory(const StreamMemory&) = delete;
  StreamMemory& operator=(const StreamMemory&) = delete;

  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_ = nullptr;
  cudaStream_t stream_;
};

}  // namespace magi::ffa

#endif
