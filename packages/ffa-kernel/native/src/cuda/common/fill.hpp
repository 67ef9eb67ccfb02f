// Constants into device memory.
#ifndef MAGI_FFA_CUDA_FILL_HPP
#define MAGI_FFA_CUDA_FILL_HPP

#include "cuda_check.hpp"
#include "../params.hpp"

namespace magi::ffa {

// For kernels that raise max_logits by atomic_max: every value loses to 0xffffffff there, and every block raises its heads, so
// that -infinity is written where nothing is seen. Without queries there is no block to write it.
inline void reset_max_logits(const ForwardParams& params) {
  if (params.max_logits == nullptr) return;
  const size_t bytes = sizeof(float) * static_cast<size_t>(params.num_heads_q);
  if (params.total_q > 0) {
    check_cuda(cudaMemsetAsync(params.max_logits, 0xff, bytes, params.stream), "max_logits");
    return;
  }
  // -infinity is 0xff800000: its upper two bytes differ from the lower ones.
  char* floats = reinterpret_cast<char*>(params.max_logits);
  check_cuda(cudaMemsetAsync(floats, 0, bytes, params.stream), "max_logits");
  check_cuda(cudaMemset2DAsync(floats + 3, 4, 0xff, 1, static_cast<size_t>(params.num_heads_q), params.stream), "max_logits");
  check_cuda(cudaMemset2DAsync(floats + 2, 4, 0x80, 1, static_cast<size_t>(params.num_heads_q), params.stream), "max_logits");
}

}  // namespace magi::ffa

#endif
