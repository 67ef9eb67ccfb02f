// How this library calls the CUDA runtime: failures become a magi::Error, and every entry point names its device.
#ifndef MAGI_TENSOR_CUDA_CALL_HPP
#define MAGI_TENSOR_CUDA_CALL_HPP

#include <magi/status.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>

namespace magi {

inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  // An error that does not stay must not surface once more in a later, innocent call.
  cudaGetLastError();
  const int32_t status = error == cudaErrorMemoryAllocation ? MAGI_OUT_OF_MEMORY : MAGI_DEVICE_ERROR;
  fail(status, "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

// Makes a device the thread's current one. At every entry: other libraries of the process change it, too.
inline void use_device(int32_t device) { check_cuda(cudaSetDevice(device), "cudaSetDevice"); }

// Waits for a device, which is the thread's current one, and takes from its pool what is free: for those who do not use the pool,
// and for large pieces.
void trim_pool(int32_t device);

inline cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }
inline cudaEvent_t as_event(void* event) { return static_cast<cudaEvent_t>(event); }

// Device memory for the length of a call: taken from the pool and given back in stream order.
class StreamMemory {
 public:
  StreamMemory(size_t bytes, cudaStream_t stream) : stream_(stream) {
    if (bytes > 0) check_cuda(cudaMallocAsync(&data_, bytes, stream), "working memory");
  }
  ~StreamMemory() {
    if (data_ != nullptr) cudaFreeAsync(data_, stream_);
  }
  StreamMemory(const StreamMemory&) = delete;
  StreamMemory& operator=(const StreamMemory&) = delete;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
};

}  // namespace magi

#endif
