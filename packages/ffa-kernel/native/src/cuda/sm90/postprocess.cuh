// After the Hopper backward kernel: float32 sums become gradients, and the sinks get theirs.
#ifndef MAGI_FFA_SM90_POSTPROCESS_CUH
#define MAGI_FFA_SM90_POSTPROCESS_CUH

#include <cstdint>

#include <cuda_runtime_api.h>

#include "backward_schedule.hpp"

namespace magi::ffa::sm90 {

struct PostprocessParams {
  const float* grad_q_sum;  // see BackwardKernelParams
  const float* grad_k_sum;  // null without partial items: all of grad_k and grad_v is there
  const float* grad_v_sum;
  void* grad_q;             // [total_q, num_heads_q, head_dim]
  void* grad_k;             // [total_k, num_heads_kv, head_dim]
  void* grad_v;
  const float* sink;        // with grad_sink: [sink_tokens, num_heads_q], or [total_q, sink_tokens, num_heads_q]
  const float* lse;         // [total_q, num_heads_q]
  const float* delta;       // see PreprocessParams
  float* grad_sink;         // null, or like sink
  int32_t total_q;
  int32_t total_k;
  int32_t num_heads_q;
  int32_t num_heads_kv;
  int32_t packed_shift;     // logarithm of the query heads in the rows of a tile
  int32_t num_query_tiles;
  PlanView plan;
  BackwardSchedule schedule;
  int32_t sink_tokens;
  bool sink_per_query;
  bool float_grads;
  float softmax_scale;
};

template <typename T, int kHeadDim>
void launch_postprocess(const PostprocessParams& params, cudaStream_t stream);

}  // namespace magi::ffa::sm90

#endif
