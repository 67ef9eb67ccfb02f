#include "cublas.hpp"
#include "cuda_call.hpp"

#include <magi/tensor_cuda.h>

#include <algorithm>

int32_t magi_cuda_stream_create(int32_t priority, void** stream, int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check(stream != nullptr, "stream: expected an address, got NULL");
    use_device(device);
    int lowest = 0;
    int highest = 0;
    check_cuda(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "cudaDeviceGetStreamPriorityRange");
    cudaStream_t created;
    check_cuda(cudaStreamCreateWithPriority(&created, cudaStreamNonBlocking, std::clamp<int>(priority, highest, lowest)),
               "cudaStreamCreate");
    *stream = created;
  });
}

int32_t magi_cuda_stream_destroy(int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check(stream != nullptr, "stream: the default stream is not destroyed");
    use_device(device);
    release_cublas(device, as_stream(stream));
    check_cuda(cudaStreamDestroy(as_stream(stream)), "cudaStreamDestroy");
  });
}

int32_t magi_cuda_stream_synchronize(int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    check_cuda(cudaStreamSynchronize(as_stream(stream)), "cudaStreamSynchronize");
  });
}

int32_t magi_cuda_stream_query(int32_t* is_done, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    const cudaError_t error = cudaStreamQuery(as_stream(stream));
    *is_done = error == cudaSuccess ? 1 : 0;
    if (error != cudaErrorNotReady) check_cuda(error, "cudaStreamQuery");
    else cudaGetLastError();
  });
}

int32_t magi_cuda_stream_wait_event(void* event, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    check_cuda(cudaStreamWaitEvent(as_stream(stream), as_event(event), 0), "cudaStreamWaitEvent");
  });
}

int32_t magi_cuda_event_create(int32_t enable_timing, void** event, int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check(event != nullptr, "event: expected an address, got NULL");
    use_device(device);
    cudaEvent_t created;
    check_cuda(cudaEventCreateWithFlags(&created, enable_timing != 0 ? cudaEventDefault : cudaEventDisableTiming),
               "cudaEventCreate");
    *event = created;
  });
}

int32_t magi_cuda_event_destroy(void* event, int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    check_cuda(cudaEventDestroy(as_event(event)), "cudaEventDestroy");
  });
}

int32_t magi_cuda_event_record(void* event, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    check_cuda(cudaEventRecord(as_event(event), as_stream(stream)), "cudaEventRecord");
  });
}

int32_t magi_cuda_event_synchronize(void* event, int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    check_cuda(cudaEventSynchronize(as_event(event)), "cudaEventSynchronize");
  });
}

int32_t magi_cuda_event_query(void* event, int32_t* is_done, int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    const cudaError_t error = cudaEventQuery(as_event(event));
    *is_done = error == cudaSuccess ? 1 : 0;
    if (error != cudaErrorNotReady) check_cuda(error, "cudaEventQuery");
    else cudaGetLastError();
  });
}

int32_t magi_cuda_event_elapsed(void* start, void* end, double* milliseconds, int32_t device, char* message,
                                int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    float elapsed = 0;
    check_cuda(cudaEventElapsedTime(&elapsed, as_event(start), as_event(end)), "cudaEventElapsedTime");
    *milliseconds = elapsed;
  });
}
