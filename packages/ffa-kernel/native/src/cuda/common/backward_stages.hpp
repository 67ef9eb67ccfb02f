// What happens before and after the main kernel of a backward pass: statistics of the queries, and gradients of the queries that
// are summed up by many blocks.
#ifndef MAGI_FFA_CUDA_BACKWARD_STAGES_HPP
#define MAGI_FFA_CUDA_BACKWARD_STAGES_HPP

#include <cstddef>
#include <cstdint>

#include "../params.hpp"

namespace magi::ffa {

// For each row of packed queries (see packing.hpp), [num_heads_q >> shift, total_q << shift].
struct QueryStatistics {
  float* lse2;       // lse in units of log2; +infinity where a row has no keys, so that its probabilities come out as 0
  float* delta;      // sum over head_dim of out * grad_out
  float* grad_norm;  // sum over head_dim of |grad_out|; deterministic only, else null
};

// The sum of many blocks' parts of grad_q, [total_q, num_heads_q, head_dim], scaled. Sums of floats depend on their order, sums
// of integers do not: a deterministic pass adds up 64-bit integers in units of a power of two that suits the row.
struct QueryGradients {
  float* sums;             // not deterministic; grad_q itself if that is float32
  int64_t* fixed_sums;     // deterministic
  const uint32_t* maxima;  // deterministic: bits of the largest |k| and the largest |v|
};

// Fills the statistics, the maxima if deterministic, and grad_sink [total_q, sink_tokens, num_heads_q] in the layout SSH. One
// kernel.
void prepare_queries(const BackwardParams& params, int32_t packing_shift, const QueryStatistics& statistics, uint32_t* maxima);

// Writes grad_q from the sums, and grad_sink [sink_tokens, num_heads_q] in the layout SH, added up in a fixed order. One kernel,
// none if there is nothing to do.
void finish_queries(const BackwardParams& params, int32_t packing_shift, const QueryStatistics& statistics,
                    const QueryGradients& grads);

}  // namespace magi::ffa

#endif
