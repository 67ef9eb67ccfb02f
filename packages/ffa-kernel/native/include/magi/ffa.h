/* The C ABI of flex flash attention. Every backend library (libmagi_ffa_cpu, libmagi_ffa_cuda) exports these functions.
 *
 * All tensors are dense and row-major. The mask comes as a tile plan (see MagiFfaPlan), made once by the caller; a backend
 * names the tile sizes that it wants in magi_ffa_tile_sizes().
 *
 * The CUDA library takes device memory for all tensors and plan arrays, enqueues its work on `stream` and returns without
 * waiting for it. Members that concern a GPU alone (device, stream, kernel, sm_margin) are ignored by the CPU library, and
 * num_threads by the CUDA library. */
#ifndef MAGI_FFA_H
#define MAGI_FFA_H

#include <magi/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAGI_FFA_ABI_VERSION 2

/* Stands for an absent bound of a diagonal band. */
#define MAGI_FFA_UNBOUNDED (1 << 30)

/* A mask, cut into row tiles of the owner axis. Forward plans have rows = queries and cols = keys; backward plans have
 * rows = keys and cols = queries.
 *
 * bands       [num_bands, 6]  row0, row1, col0, col1, lo, hi: row r sees column c iff row0 <= r < row1, col0 <= c < col1 and
 *                             lo <= c - r <= hi. The mask is the union of the bands.
 * tile_order  [num_tiles]     the order in which tiles are started, most work first
 * tile_runs   [num_tiles + 1] where each tile's runs begin in `runs`
 * runs        [num_runs, 4]   col_begin, num_col_tiles, band_begin, band_count: num_col_tiles tiles of tile_cols columns from
 *                             col_begin on. band_count 0: every row of the tile sees every column. Otherwise
 *                             run_bands[band_begin .. + band_count) are the bands that meet the run.
 * run_bands   [...]           indices into bands
 *
 * A dense mask (at most one band) has no memory beyond its band: the four arrays are NULL, and the runs of a tile follow
 * from the band by arithmetic. The band of a dense plan is always read on the host, so such a plan needs no device memory. */
typedef struct MagiFfaPlan {
  int64_t struct_size;
  const int32_t* bands;
  const int32_t* tile_order;
  const int32_t* tile_runs;
  const int32_t* runs;
  const int32_t* run_bands;
  int32_t num_rows;
  int32_t num_cols;
  int32_t tile_rows;
  int32_t tile_cols;
  int32_t num_tiles;
  int32_t num_bands;
} MagiFfaPlan;

/* Which of the CUDA library's kernels to run. */
enum MagiFfaKernel {
  MAGI_FFA_KERNEL_AUTO = 0,  /* the fastest that the device and the head_dim allow */
  MAGI_FFA_KERNEL_SM80 = 80, /* mma.sync: any GPU from Ampere on */
  MAGI_FFA_KERNEL_SM90 = 90, /* wgmma and TMA: Hopper; head_dim 64 and 128, forward alone 96, 192 and 256, too */
};

enum MagiFfaSinkLayout {
  MAGI_FFA_SINK_SH = 0,  /* [sink_tokens, num_heads_q], shared by all rows */
  MAGI_FFA_SINK_SSH = 1, /* [total_q, sink_tokens, num_heads_q] */
};

typedef struct MagiFfaForwardArgs {
  int64_t struct_size;
  const MagiFfaPlan* plan; /* rows = queries */
  const void* q;           /* [total_q, num_heads_q, head_dim], dtype */
  const void* k;           /* [total_k, num_heads_kv, head_dim], dtype */
  const void* v;           /* [total_k, num_heads_kv, head_dim], dtype */
  const float* sink;       /* NULL, or by sink_layout */
  void* out;               /* [total_q, num_heads_q, head_dim], out_dtype */
  float* lse;              /* [total_q, num_heads_q], natural logarithm, sink included */
  float* max_logits;       /* NULL, or [num_heads_q]: the largest scaled and capped logit, without sink */
  int64_t total_q;
  int64_t total_k;
  int32_t num_heads_q;
  int32_t num_heads_kv;
  int32_t head_dim;
  int32_t dtype;           /* MAGI_FLOAT32, MAGI_BFLOAT16 or MAGI_FLOAT16 */
  int32_t out_dtype;       /* dtype, or MAGI_FLOAT32 */
  int32_t sink_layout;
  int32_t sink_tokens;     /* 0 without a sink */
  int32_t accumulate;      /* 1: merge with the out (float32) and lse that are there */
  int32_t num_threads;     /* 0: the library's default */
  float softmax_scale;
  float softcap;           /* 0: off */
  int32_t device;          /* CUDA device ordinal */
  int32_t kernel;          /* MagiFfaKernel; the one that the plan's tile sizes were asked for */
  int32_t sm_margin;       /* multiprocessors to leave free */
  void* stream;            /* cudaStream_t */
} MagiFfaForwardArgs;

typedef struct MagiFfaBackwardArgs {
  int64_t struct_size;
  const MagiFfaPlan* plan; /* rows = keys, columns on the grid of tile_cols, runs ascending by column */
  const void* q;           /* as in forward */
  const void* k;
  const void* v;
  const float* sink;
  const void* out;         /* [total_q, num_heads_q, head_dim], dtype */
  const float* lse;        /* [total_q, num_heads_q], as forward returned it */
  const void* grad_out;    /* [total_q, num_heads_q, head_dim], dtype */
  void* grad_q;            /* [total_q, num_heads_q, head_dim], grad_dtype */
  void* grad_k;            /* [total_k, num_heads_kv, head_dim], grad_dtype */
  void* grad_v;            /* [total_k, num_heads_kv, head_dim], grad_dtype */
  float* grad_sink;        /* NULL, or shaped like sink */
  int64_t total_q;
  int64_t total_k;
  int32_t num_heads_q;
  int32_t num_heads_kv;
  int32_t head_dim;
  int32_t dtype;
  int32_t grad_dtype;      /* dtype, or MAGI_FLOAT32 */
  int32_t sink_layout;
  int32_t sink_tokens;
  int32_t num_threads;
  float softmax_scale;
  float softcap;
  int32_t device;          /* CUDA device ordinal */
  int32_t kernel;          /* MagiFfaKernel; the one that the plan's tile sizes were asked for */
  int32_t sm_margin;       /* multiprocessors to leave free */
  int32_t deterministic;   /* 1: the same bits each time. The CPU library always is. */
  void* stream;            /* cudaStream_t */
} MagiFfaBackwardArgs;

/* The tile sizes that a backend plans with. Rows and columns count tokens: a kernel that packs the query heads of a group
 * into the rows of one tile asks for fewer query tokens a tile than it has rows. */
typedef struct MagiFfaTileSizes {
  int64_t struct_size;
  int32_t forward_rows;
  int32_t forward_cols;
  int32_t backward_rows;
  int32_t backward_cols;
  int32_t forward_align_cols; /* 1: forward plans, too, must have their column tiles on the grid of forward_cols */
  int32_t kernel;             /* the kernel that these sizes are for: what MAGI_FFA_KERNEL_AUTO stands for here; 0 on the CPU */
} MagiFfaTileSizes;

/* Slices in device memory, to be planned there. The CUDA library alone has the functions for it.
 *
 * Nobody looks at the values on the host, so no value is an error: what a slice has outside [0, total_q) x [0, total_k) is cut
 * off, and a slice whose range ends before it starts, or whose type is not 0 to 3, holds no cell. The diagonal follows from
 * the ranges as they were given. */
typedef struct MagiFfaPlanArgs {
  int64_t struct_size;
  const int32_t* q_ranges;      /* [num_slices, 2] start, end */
  const int32_t* k_ranges;      /* [num_slices, 2] */
  const int32_t* attn_type_map; /* [num_slices] 0 full, 1 causal, 2 inv_causal, 3 bi_causal; NULL: all full */
  const int32_t* bands;         /* NULL, or [num_slices, 6] q0, q1, k0, k1, lo, hi instead of the three above; see MagiFfaPlan */
  void* workspace;              /* at a multiple of 256; becomes the memory of the plan's arrays */
  int64_t workspace_size;       /* bytes, at least magi_ffa_plan_workspace_size() */
  int32_t num_slices;           /* up to 2^24 */
  int32_t total_q;
  int32_t total_k;
  int32_t tile_rows;
  int32_t tile_cols;
  int32_t transposed;           /* 0: rows = queries. 1: rows = keys, for backward. */
  int32_t align_cols;           /* 1: column tiles on the grid of tile_cols, runs ascending by column */
  int32_t device;               /* CUDA device ordinal */
  void* stream;                 /* cudaStream_t */
} MagiFfaPlanArgs;

MAGI_API int32_t magi_ffa_abi_version(void);
MAGI_API int64_t magi_ffa_sizeof_plan(void);
MAGI_API int64_t magi_ffa_sizeof_forward_args(void);
MAGI_API int64_t magi_ffa_sizeof_backward_args(void);
MAGI_API int64_t magi_ffa_sizeof_tile_sizes(void);

/* Fills `sizes`; head_dim must be a positive multiple of 8 up to 256, group_size is num_heads_q / num_heads_kv. device and
 * kernel are for the CUDA library. */
MAGI_API int32_t magi_ffa_tile_sizes(int32_t head_dim, int32_t dtype, int32_t group_size, int32_t device, int32_t kernel,
                                     MagiFfaTileSizes* sizes, char* message, int32_t message_size);
MAGI_API int32_t magi_ffa_forward(const MagiFfaForwardArgs* args, char* message, int32_t message_size);
MAGI_API int32_t magi_ffa_backward(const MagiFfaBackwardArgs* args, char* message, int32_t message_size);

/* Bytes of workspace for a plan. Reads the sizes in `args` only, never a pointer. */
MAGI_API int64_t magi_ffa_sizeof_plan_args(void);
MAGI_API int32_t magi_ffa_plan_workspace_size(const MagiFfaPlanArgs* args, int64_t* size, char* message, int32_t message_size);

/* Enqueues the planning on args->stream, waits for nothing, and fills `plan`, which is sparse and usable by what is enqueued
 * there later. num_bands is num_slices; bands without a cell are in no run. The same slices give the same plan. Tiles that
 * more bands meet than the planner has room for get one masked run, whose list may name bands that do not meet it. */
MAGI_API int32_t magi_ffa_plan(const MagiFfaPlanArgs* args, MagiFfaPlan* plan, char* message, int32_t message_size);

/* Name of the instruction set in use: "avx512-bf16", "avx512", "avx2", "portable"; of the CUDA library the kernels that it has:
 * "sm80, sm90" or "sm80". A static string. */
MAGI_API const char* magi_ffa_isa(void);

#ifdef __cplusplus
}
#endif

#endif
