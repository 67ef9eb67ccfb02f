#include "vector_kernels.hpp"

#include <magi/cpu_features.hpp>
#include <magi/parallel.hpp>
#include <magi/tensor.h>

namespace magi {

const VectorKernels& vector_kernels() {
#if defined(MAGI_X86_64)
  static const VectorKernels& kernels = active_isa() >= Isa::kAvx512  ? vector_kernels_avx512()
                                        : active_isa() == Isa::kAvx2 ? vector_kernels_avx2()
                                                                     : vector_kernels_portable();
  return kernels;
#else
  return vector_kernels_portable();
#endif
}

}  // namespace magi

int32_t magi_tensor_abi_version(void) { return MAGI_TENSOR_ABI_VERSION; }

int32_t magi_tensor_default_num_threads(void) { return magi::default_num_threads(); }

const char* magi_tensor_isa(void) { return magi::isa_name(magi::active_isa()); }
