// Memory comes from the device's default pool, shared with every library of the process that uses it.
#include "../internal.hpp"
#include "cuda_call.hpp"

#include <magi/tensor_cuda.h>

#include <mutex>
#include <set>
#include <utility>

namespace magi {
namespace {

cudaMemPool_t pool_of(int32_t device) {
  cudaMemPool_t pool;
  check_cuda(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  return pool;
}

// By default the pool gives its memory back at every synchronisation: it is told to keep it, once for each device.
void prepare_pool(int32_t device) {
  static std::mutex mutex;
  static std::set<int32_t> prepared;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!prepared.insert(device).second) return;
  uint64_t threshold = UINT64_MAX;
  check_cuda(cudaMemPoolSetAttribute(pool_of(device), cudaMemPoolAttrReleaseThreshold, &threshold),
             "cudaMemPoolSetAttribute");
}

// Lets one device read the pool of the other where they can reach each other, once for each pair.
void prepare_peer(int32_t reader, int32_t owner) {
  static std::mutex mutex;
  static std::set<std::pair<int32_t, int32_t>> prepared;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!prepared.insert({reader, owner}).second) return;
  int can_access = 0;
  check_cuda(cudaDeviceCanAccessPeer(&can_access, reader, owner), "cudaDeviceCanAccessPeer");
  if (can_access == 0) return;
  cudaMemAccessDesc access = {};
  access.location.type = cudaMemLocationTypeDevice;
  access.location.id = reader;
  access.flags = cudaMemAccessFlagsProtReadWrite;
  check_cuda(cudaMemPoolSetAccess(pool_of(owner), &access, 1), "cudaMemPoolSetAccess");
}

int64_t pool_attribute(cudaMemPool_t pool, cudaMemPoolAttr which) {
  uint64_t value = 0;
  check_cuda(cudaMemPoolGetAttribute(pool, which, &value), "cudaMemPoolGetAttribute");
  return static_cast<int64_t>(value);
}

}  // namespace

void trim_pool(int32_t device) {
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  check_cuda(cudaMemPoolTrimTo(pool_of(device), 0), "cudaMemPoolTrimTo");
}

}  // namespace magi

int32_t magi_cuda_allocate(int64_t bytes, void** memory, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_extent(bytes, "bytes");
    check(memory != nullptr, "memory: expected an address, got NULL");
    *memory = nullptr;
    if (bytes == 0) return;
    use_device(device);
    prepare_pool(device);
    const size_t size = static_cast<size_t>(bytes);
    cudaError_t error = cudaMallocAsync(memory, size, as_stream(stream));
    if (error == cudaErrorMemoryAllocation) {
      // Memory that lies in pieces, or that another stream has freed, can be had after a trim.
      cudaGetLastError();
      trim_pool(device);
      error = cudaMallocAsync(memory, size, as_stream(stream));
    }
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      *memory = nullptr;
      size_t free_bytes = 0;
      size_t total_bytes = 0;
      cudaMemGetInfo(&free_bytes, &total_bytes);
      fail(MAGI_OUT_OF_MEMORY, "no memory for %lld bytes on cuda:%d, which has %zu of %zu bytes free",
           static_cast<long long>(bytes), device, free_bytes, total_bytes);
    }
    check_cuda(error, "cudaMallocAsync");
  });
}

int32_t magi_cuda_free(void* memory, int32_t device, void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    if (memory == nullptr) return;
    use_device(device);
    check_cuda(cudaFreeAsync(memory, as_stream(stream)), "cudaFreeAsync");
  });
}

int32_t magi_cuda_trim(int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    trim_pool(device);
  });
}

int32_t magi_cuda_get_memory(int32_t device, MagiCudaMemory* memory, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check(memory != nullptr && memory->struct_size == static_cast<int64_t>(sizeof(MagiCudaMemory)),
          "memory: expected a struct of %zu bytes, got another size", sizeof(MagiCudaMemory));
    use_device(device);
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    check_cuda(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
    memory->free_bytes = static_cast<int64_t>(free_bytes);
    memory->total_bytes = static_cast<int64_t>(total_bytes);
    const cudaMemPool_t pool = pool_of(device);
    memory->reserved_bytes = pool_attribute(pool, cudaMemPoolAttrReservedMemCurrent);
    memory->used_bytes = pool_attribute(pool, cudaMemPoolAttrUsedMemCurrent);
  });
}

int32_t magi_cuda_allocate_host(int64_t bytes, void** memory, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_extent(bytes, "bytes");
    check(memory != nullptr, "memory: expected an address, got NULL");
    *memory = nullptr;
    if (bytes == 0) return;
    // Portable: page-locked for every device.
    check_cuda(cudaHostAlloc(memory, static_cast<size_t>(bytes), cudaHostAllocPortable), "page-locked memory");
  });
}

int32_t magi_cuda_free_host(void* memory, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    if (memory != nullptr) check_cuda(cudaFreeHost(memory), "cudaFreeHost");
  });
}

int32_t magi_cuda_copy(void* out, const void* in, int64_t bytes, int32_t device, void* stream, char* message,
                       int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_extent(bytes, "bytes");
    check_pointer(out, bytes, "out");
    check_pointer(in, bytes, "in");
    if (bytes == 0) return;
    use_device(device);
    check_cuda(cudaMemcpyAsync(out, in, static_cast<size_t>(bytes), cudaMemcpyDefault, as_stream(stream)), "copy");
  });
}

int32_t magi_cuda_copy_peer(void* out, int32_t out_device, const void* in, int32_t in_device, int64_t bytes, void* stream,
                            char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_extent(bytes, "bytes");
    check_pointer(out, bytes, "out");
    check_pointer(in, bytes, "in");
    if (bytes == 0) return;
    use_device(out_device);
    prepare_peer(out_device, in_device);
    check_cuda(cudaMemcpyPeerAsync(out, out_device, in, in_device, static_cast<size_t>(bytes), as_stream(stream)),
               "copy between devices");
  });
}
