// What the entry points hand to the kernels of either architecture: checked sizes and device pointers.
#ifndef MAGI_FFA_CUDA_PARAMS_HPP
#define MAGI_FFA_CUDA_PARAMS_HPP

#include <cstdint>

#include <cuda_runtime_api.h>
#include <magi/ffa.h>

namespace magi::ffa {

// MagiFfaPlan in device memory. A dense plan has no arrays: tile_runs is null and `band` holds its band, if there is one.
struct PlanView {
  const int32_t* bands;       // [num_bands, 6], null if dense
  const int32_t* tile_order;  // [num_tiles], null if dense
  const int32_t* tile_runs;   // [num_tiles + 1], null if dense
  const int32_t* runs;        // [num_runs, 4], null if dense
  const int32_t* run_bands;   // null if dense
  int32_t num_rows;
  int32_t num_cols;
  int32_t tile_rows;
  int32_t tile_cols;
  int32_t num_tiles;
  int32_t num_bands;
  int32_t band[6];  // row0, row1, col0, col1, lo, hi; read only if dense and num_bands == 1
};

struct ForwardParams {
  PlanView plan;
  const void* q;      // [total_q, num_heads_q, head_dim]
  const void* k;      // [total_k, num_heads_kv, head_dim]
  const void* v;
  const float* sink;  // null without one
  void* out;          // [total_q, num_heads_q, head_dim], out_dtype
  float* lse;         // [total_q, num_heads_q]
  float* max_logits;  // null, or [num_heads_q]
  int32_t total_q;
  int32_t total_k;
  int32_t num_heads_q;
  int32_t num_heads_kv;
  int32_t group_size;  // num_heads_q / num_heads_kv
  int32_t head_dim;
  int32_t dtype;
  int32_t out_dtype;
  int32_t sink_layout;
  int32_t sink_tokens;
  bool accumulate;  // merge with out (float32) and lse
  float softmax_scale;
  float softcap;
  int32_t device;
  int32_t num_sms;  // to use: those of the device less sm_margin
  cudaStream_t stream;
};

struct BackwardParams {
  PlanView plan;  // rows = keys
  const void* q;
  const void* k;
  const void* v;
  const float* sink;
  const void* out;
  const float* lse;
  const void* grad_out;
  void* grad_q;       // [total_q, num_heads_q, head_dim], grad_dtype
  void* grad_k;       // [total_k, num_heads_kv, head_dim], grad_dtype
  void* grad_v;
  float* grad_sink;   // null, or shaped like sink
  int32_t total_q;
  int32_t total_k;
  int32_t num_heads_q;
  int32_t num_heads_kv;
  int32_t group_size;
  int32_t head_dim;
  int32_t dtype;
  int32_t grad_dtype;
  int32_t sink_layout;
  int32_t sink_tokens;
  bool deterministic;
  float softmax_scale;
  float softcap;
  int32_t device;
  int32_t num_sms;
  cudaStream_t stream;
};

struct TileSizes {
  int32_t forward_rows;   // query tokens
  int32_t forward_cols;   // key tokens
  int32_t backward_rows;  // key tokens
  int32_t backward_cols;  // query tokens
};

// One set a kernel family. They enqueue on params.stream and throw magi::Error.
namespace sm80 {
bool supports(int32_t head_dim);
TileSizes tile_sizes(int32_t head_dim, int32_t group_size);
void forward(const ForwardParams& params);
void backward(const BackwardParams& params);
}  // namespace sm80

namespace sm90 {
bool supports_forward(int32_t head_dim);
bool supports_backward(int32_t head_dim);
TileSizes tile_sizes(int32_t head_dim, int32_t group_size);
void forward(const ForwardParams& params);
void backward(const BackwardParams& params);
}  // namespace sm90

}  // namespace magi::ffa

#endif
