// The emulated device.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulator {

// From the environment.
struct Options {
  uint64_t seed;        // MAGI_CUDA_EMULATOR_SEED, 1: of all that has no order
  int num_sms;          // MAGI_CUDA_EMULATOR_SMS, 3
  size_t memory_bytes;  // MAGI_CUDA_EMULATOR_MEMORY, 1 GiB, for all devices together
  int num_devices;      // MAGI_CUDA_EMULATOR_DEVICES, 1
};

const Options& options();

}  // namespace emulator
