// What the entry points prepare and the kernels of every instruction set read. Plain data: this header is compiled for
// several instruction sets, so its functions are static: the linker must not share them.
#pragma once

#include <magi/ffa.h>

#include <cstdint>

namespace magi::ffa {

// A "unit" is 32 bits along the axis that a matrix product sums over: one float, or two bfloat16. Kernels see units only, so
// float32 and bfloat16 share one micro-kernel. Unit buffers are declared as float.

// Rows of the plan's tiles are worked on in groups of kGroupVectors vectors, columns in panels of kPanel.
constexpr int kGroupVectors = 3;
constexpr int kPanel = 8;
// Rows of a tile, multiples of every instruction set's group (48, 24, 12): many rows share what is fetched of the columns, but
// the operands of a tile must fit the second-level cache, and backward has more of them.
constexpr int kForwardRows = 192;
constexpr int kBackwardRows = 96;
constexpr int kTileCols = 64;
constexpr int kMaxHeadDim = 256;

struct ForwardJob {
  MagiFfaForwardArgs args;
  MagiFfaPlan plan;
  int64_t key_rows;      // total_k rounded up to kTileCols
  int32_t dim_units;     // units of one row of head_dim elements
  // Keys, units along head_dim, and values, units along keys. Each is either packed, one head after another with zeros up
  // to key_rows, or the tensor itself, when its dtype needs no change and too few tiles share a key to pay for a copy.
  const float* k;
  const float* v;
  int64_t k_head;        // distance between heads
  int64_t v_head;
  int64_t k_row;         // distance between rows of units
  int64_t v_row;
  bool k_is_packed;
  bool v_is_packed;
  float* tile_max;       // [num_heads_q, num_tiles], or null
};

struct BackwardJob {
  MagiFfaBackwardArgs args;
  MagiFfaPlan plan;
  int64_t query_rows;    // total_q rounded up to kTileCols
  int64_t key_rows;      // total_k rounded up to kBackwardRows
  int32_t dim_units;
  int32_t dim_padded;    // head_dim rounded up to whole vectors
  int32_t num_blocks;    // blocks of kTileCols queries
  float* q;              // [num_heads_q, query_rows, dim_units], units along head_dim
  float* q_pairs;        // [num_heads_q, query_rows / pack, head_dim], units along queries (q itself where pack is 1)
  float* grad_out;       // like q
  float* grad_out_pairs; // like q_pairs
  float* k_transposed;   // [num_heads_kv, key_rows / group, dim_units, group]
  float* v_transposed;
  float* k_pairs;        // [num_heads_kv, key_rows / pack, dim_padded], units along keys
  float* lse2;           // [num_heads_q, query_rows], base 2; +infinity for rows without keys and rows of padding
  float* delta;          // [num_heads_q, query_rows], sum over head_dim of out * grad_out
  float* grad_q;         // [num_heads_q, query_rows, dim_padded], float32, not yet scaled
  // Blocks of grad_q are added to in the plan's tile order, so that sums do not depend on threads: the tile whose rank
  // for a block equals the number of tiles that are done with it comes next.
  int32_t* blocks_done;  // [num_heads_q, num_blocks], accessed atomically
};

// The columns of a dense plan's tile: the hull of what its rows see, begun on the column grid. False: nothing.
static inline bool dense_hull(const MagiFfaPlan& plan, int tile, int64_t* begin, int64_t* end) {
  if (plan.num_bands == 0) return false;
  const int32_t* band = plan.bands;
  const int64_t tile_begin = static_cast<int64_t>(tile) * plan.tile_rows;
  const int64_t tile_end = tile_begin + plan.tile_rows;
  const int64_t first = band[0] > tile_begin ? band[0] : tile_begin;
  const int64_t last = (band[1] < tile_end ? band[1] : tile_end) - 1;
  const int64_t low = first + band[4] > band[2] ? first + band[4] : band[2];
  const int64_t high = last + band[5] + 1 < band[3] ? last + band[5] + 1 : band[3];
  if (first > last || low >= high) return false;
  *begin = low - low % plan.tile_cols;
  *end = high;
  return true;
}

// The functions of one instruction set, for one kind of unit.
struct Kernels {
  int group;  // rows worked on together: kGroupVectors * lanes
  int pack;   // elements in a unit
  int64_t (*forward_scratch_floats)(const ForwardJob&, int max_run_bands);
  int64_t (*backward_scratch_floats)(const BackwardJob&, int max_run_bands);
  // Rows [begin, end) of one key/value head into what is packed of k and v (whole units: begin is even).
  void (*pack_forward)(const ForwardJob&, int head, int64_t begin, int64_t end);
  void (*forward_tile)(const ForwardJob&, float* scratch, int max_run_bands, int tile, int head);
  // Rows [begin, end) of one query head: q, grad_out, lse2, delta; and zeros into grad_q.
  void (*pack_queries)(const BackwardJob&, int head, int64_t begin, int64_t end);
  // Rows [begin, end) of one key/value head, whole groups.
  void (*pack_keys)(const BackwardJob&, int head, int64_t begin, int64_t end);
  // One tile of keys of one key/value head. ranks [num_blocks]: this tile's turn at each block of queries it visits.
  void (*backward_tile)(const BackwardJob&, float* scratch, int max_run_bands, int tile, int head, const int32_t* ranks);
  // Rows [begin, end) of one query head from grad_q to args.grad_q.
  void (*finish_queries)(const BackwardJob&, int head, int64_t begin, int64_t end);
};

// Null where the library was built without the instruction set.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* avx512_bf16_kernels();  // for bfloat16 tensors only

}  // namespace magi::ffa
