// Before the Hopper backward kernel: row constants in the order of its query tiles, zeros where it adds, and its work items.
#ifndef MAGI_FFA_SM90_PREPROCESS_CUH
#define MAGI_FFA_SM90_PREPROCESS_CUH

#include <cstdint>

#include <cuda_runtime_api.h>

#include "backward_schedule.hpp"

namespace magi::ffa::sm90 {

struct PreprocessParams {
  const void* out;       // [total_q, num_heads_q, head_dim]
  const void* grad_out;  // likewise
  const float* lse;      // [total_q, num_heads_q]
  float* lse2;           // [num_heads_q / packed, num_query_tiles * rows]: lse in base 2; +inf without keys, or beyond the end
  float* delta;          // likewise: sum of out * grad_out
  void* zeros;           // 16-byte units to clear
  int64_t zero_units;
  void* key_sums;        // [2, num_heads_kv, key tiles], a tile of float32 each: those of partial items are cleared
  int64_t key_sum_tiles;
  int32_t total_q;
  int32_t num_heads_q;
  int32_t packed_shift;     // logarithm of the query heads in the rows of a tile
  int32_t num_query_tiles;
  PlanView plan;
  BackwardSchedule schedule;
  BackwardItemList items;  // to be filled
};

// One block for each query tile of each packed head, of which there must be one, and one that lists the items.
template <typename T, int kHeadDim>
void launch_preprocess(const PreprocessParams& params, cudaStream_t stream);

}  // namespace magi::ffa::sm90

#endif
