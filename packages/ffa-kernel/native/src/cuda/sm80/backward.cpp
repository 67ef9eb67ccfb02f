#include "backward.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../common/cuda_check.hpp"
#include "../common/packing.hpp"
#include "../device.hpp"
#include "shapes.hpp"

namespace magi::ffa::sm80 {
namespace {

// Sections of one allocation, in multiples of 256 bytes.
class Carver {
 public:
  // Returns where a section begins.
  size_t take(size_t bytes) {
    const size_t begin = used_;
    used_ += (bytes + 255) / 256 * 256;
    return begin;
  }
  size_t used() const { return used_; }

 private:
  size_t used_ = 0;
};

template <int kDim>
void backward_for(const BackwardParams& params) {
  using Shape = BackwardShape<kDim>;
  BackwardLaunch launch{};
  launch.params = params;
  launch.packing_shift = packing_shift(params.group_size, Shape::kCols);
  launch.stages = Shape::shared_bytes(2) <= device_info(params.device).shared_memory ? 2 : 1;

  const size_t rows = size_t{static_cast<uint32_t>(params.total_q)} * params.num_heads_q;
  const size_t elements = rows * params.head_dim;
  const bool in_place = params.grad_dtype == MAGI_FLOAT32 && !params.deterministic;
  const size_t sum_bytes = params.deterministic ? sizeof(int64_t) : sizeof(float);
  Carver carver;
  const size_t sums = carver.take(in_place ? 0 : elements * sum_bytes);
  const size_t lse2 = carver.take(rows * sizeof(float));
  const size_t delta = carver.take(rows * sizeof(float));
  const size_t norm = carver.take(params.deterministic ? rows * sizeof(float) : 0);
  const size_t maxima = carver.take(2 * sizeof(uint32_t));
  const StreamMemory memory(carver.used(), params.stream);
  char* base = memory.as<char>();
  launch.statistics.lse2 = reinterpret_cast<float*>(base + lse2);
  launch.statistics.delta = reinterpret_cast<float*>(base + delta);
  uint32_t* maxima_at = nullptr;
  if (params.deterministic) {
    launch.statistics.grad_norm = reinterpret_cast<float*>(base + norm);
    maxima_at = reinterpret_cast<uint32_t*>(base + maxima);
    launch.query_grads.maxima = maxima_at;
    launch.query_grads.fixed_sums = reinterpret_cast<int64_t*>(base + sums);
  } else {
    launch.query_grads.sums = in_place ? static_cast<float*>(params.grad_q) : reinterpret_cast<float*>(base + sums);
  }
  void* sums_at = params.deterministic ? static_cast<void*>(launch.query_grads.fixed_sums) : launch.query_grads.sums;
  if (elements > 0) check_cuda(cudaMemsetAsync(sums_at, 0, elements * sum_bytes, params.stream), "grad_q");

  prepare_queries(params, launch.packing_shift, launch.statistics, maxima_at);
  if (params.dtype == MAGI_BFLOAT16) {
    launch_backward<__nv_bfloat16, kDim>(launch);
  } else {
    launch_backward<__half, kDim>(launch);
  }
  finish_queries(params, launch.packing_shift, launch.statistics, launch.query_grads);
}

}  // namespace

void backward(const BackwardParams& params) {
  with_head_dim(params.head_dim, [&](auto head_dim) { backward_for<decltype(head_dim)::value>(params); });
}

}  // namespace magi::ffa::sm80
