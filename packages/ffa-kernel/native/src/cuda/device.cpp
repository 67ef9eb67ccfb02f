#include "device.hpp"

#include <cuda_runtime_api.h>

#include <mutex>

#include "common/cuda_check.hpp"

namespace magi::ffa {
namespace {

constexpr int kMaxDevices = 64;
constexpr int kMinCapability = 80;

int32_t attribute(cudaDeviceAttr name, int32_t device) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, name, device), "device");
  return value;
}

DeviceInfo ask_driver(int32_t device) {
  DeviceInfo info{};
  info.num_sms = attribute(cudaDevAttrMultiProcessorCount, device);
  info.capability =
      10 * attribute(cudaDevAttrComputeCapabilityMajor, device) + attribute(cudaDevAttrComputeCapabilityMinor, device);
  info.shared_memory = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return info;
}

void check_ordinal(int32_t device) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    fail(MAGI_DEVICE_ERROR, "device: expected an NVIDIA GPU, found none");
  }
  if (error == cudaErrorInsufficientDriver) {
    fail(MAGI_DEVICE_ERROR, "device: expected an NVIDIA driver for CUDA %d.%d or later, found none or an older one",
         CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  }
  check_cuda(error, "device");
  check(device >= 0 && device < count && device < kMaxDevices, "device: expected 0 to %d, got %d", count - 1, device);
}

}  // namespace

const DeviceInfo& device_info(int32_t device) {
  static DeviceInfo known[kMaxDevices];
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (device < 0 || device >= kMaxDevices || known[device].num_sms == 0) {
    check_ordinal(device);
    known[device] = ask_driver(device);
  }
  const DeviceInfo& info = known[device];
  if (info.capability < kMinCapability) {
    fail(MAGI_UNSUPPORTED, "device: expected compute capability 8.0 (Ampere) or later, GPU %d has %d.%d", device,
         info.capability / 10, info.capability % 10);
  }
  return info;
}

DeviceScope::DeviceScope(int32_t device) {
  check_cuda(cudaGetDevice(&previous_), "device");
  changed_ = previous_ != device;
  if (changed_) check_cuda(cudaSetDevice(device), "device");
}

DeviceScope::~DeviceScope() {
  if (changed_) cudaSetDevice(previous_);
}

}  // namespace magi::ffa
