// The GPU of a call.
#ifndef MAGI_FFA_CUDA_DEVICE_HPP
#define MAGI_FFA_CUDA_DEVICE_HPP

#include <cstdint>

namespace magi::ffa {

struct DeviceInfo {
  int32_t num_sms;
  int32_t capability;     // 10 * major + minor
  int32_t shared_memory;  // bytes that a block may have
};

// Asks the driver once for each device. MAGI_DEVICE_ERROR without a usable GPU, MAGI_UNSUPPORTED for one before Ampere.
const DeviceInfo& device_info(int32_t device);

// Makes a device current for the calling thread, until the end of the scope.
class DeviceScope {
 public:
  explicit DeviceScope(int32_t device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

}  // namespace magi::ffa

#endif
