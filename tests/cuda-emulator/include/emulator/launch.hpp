// Launches, in place of the runtime's cudaLaunchKernelEx.
#pragma once

#include <functional>
#include <utility>

#include <cuda_runtime.h>

namespace emulator {

// Runs a kernel to its end. Errors are printed, for they say more than the code that is returned.
cudaError_t run_kernel(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body);

template <typename... Parameters, typename... Arguments>
cudaError_t launch_kernel(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  return run_kernel(*config, reinterpret_cast<const void*>(kernel), [=] { kernel(Parameters(arguments)...); });
}

}  // namespace emulator
