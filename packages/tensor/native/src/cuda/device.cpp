#include "cuda_call.hpp"

#include <magi/tensor_cuda.h>

#include <cstdio>

namespace magi {
namespace {

template <typename Struct>
void check_size(const Struct* value, const char* name) {
  check(value != nullptr && value->struct_size == static_cast<int64_t>(sizeof(Struct)),
        "%s: expected a struct of %zu bytes, got another size", name, sizeof(Struct));
}

int attribute(cudaDeviceAttr which, int32_t device) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_abi_version(void) { return MAGI_CUDA_ABI_VERSION; }
int64_t magi_cuda_sizeof_versions(void) { return sizeof(MagiCudaVersions); }
int64_t magi_cuda_sizeof_device(void) { return sizeof(MagiCudaDevice); }
int64_t magi_cuda_sizeof_memory(void) { return sizeof(MagiCudaMemory); }

int32_t magi_cuda_get_versions(MagiCudaVersions* versions, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_size(versions, "versions");
    int driver = 0;
    int runtime = 0;
    int count = 0;
    check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    cudaDriverGetVersion(&driver);
    const cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    versions->device_count = error == cudaSuccess ? count : 0;
    versions->driver = driver;
    versions->runtime = runtime;
    versions->reserved = 0;
    if (driver == 0) fail(MAGI_DEVICE_ERROR, "no NVIDIA driver was found (libcuda)");
    if (error == cudaErrorInsufficientDriver) {
      fail(MAGI_DEVICE_ERROR, "the NVIDIA driver is too old: it supports CUDA %d.%d, this library needs %d.%d", driver / 1000,
           driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) fail(MAGI_DEVICE_ERROR, "no GPU was found");
    check_cuda(error, "cudaGetDeviceCount");
  });
}

int32_t magi_cuda_get_device(int32_t device, MagiCudaDevice* properties, char* name, int32_t name_size, char* message,
                             int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_size(properties, "properties");
    cudaDeviceProp found;
    check_cuda(cudaGetDeviceProperties(&found, device), "cudaGetDeviceProperties");
    properties->memory_bytes = static_cast<int64_t>(found.totalGlobalMem);
    properties->l2_bytes = found.l2CacheSize;
    properties->capability_major = found.major;
    properties->capability_minor = found.minor;
    properties->num_multiprocessors = found.multiProcessorCount;
    properties->has_memory_pools = attribute(cudaDevAttrMemoryPoolsSupported, device);
    write_message(name, name_size, found.name);
  });
}

int32_t magi_cuda_synchronize(int32_t device, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    use_device(device);
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  });
}
