// What the entry points prepare and the kernels of every instruction set read. Plain data: this header is compiled for
// several instruction sets, so its functions are static: the linker must not share them.
#pragma once

#include <magi/ffa.h>

#include <cstdint>

#include "../limits.hpp"

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
constexpr int kTileCols = 128;

// How the kernels get at the rows of a tensor that a tile streams past.
enum class Place {
  kPacked,   // copied for all tiles, one head after another: many tiles share a row
  kInPlace,  // read where it is: few tiles share a row, and its dtype is the units'
  kLocal,    // copied by every tile for itself: few tiles share a row, but its dtype or order must change
};

struct Operand {
  const void* tensor;  // [total, heads, head_dim]
  int64_t total;
  int32_t heads;
  int32_t dtype;
  bool along_rows;     // units go along the rows (rows of head_dim units), else along head_dim (rows of dim_units)
  Place place;
  float* packed;       // [slots, slot_floats]
  int64_t slot_floats;
};

// With packed operands, key/value heads are worked on in batches, and a few batches are under way at once: their copies live in
// that many slots, which heads use in turn.
struct Slots {
  int32_t kv;               // slots for key/value heads
  int32_t heads_per_group;  // query heads of one key/value head

  int64_t of_kv(int kv_head) const { return kv_head % kv; }
  int64_t of_query(int head) const {
    return int64_t{head / heads_per_group % kv} * heads_per_group + head % heads_per_group;
  }
};

struct ForwardJob {
  MagiFfaForwardArgs args;
  MagiFfaPlan plan;
  Slots slots;
  int32_t dim_units;     // units of one row of head_dim elements
  int32_t max_run_bands; // the largest number of bands of any run
  Operand k;             // units along head_dim
  Operand v;             // units along rows
  float* tile_max;       // [num_heads_q, num_tiles], or null
  bool streams_out;      // out is float32 and too large to stay in the caches for whoever reads it
};

struct BackwardJob {
  MagiFfaBackwardArgs args;
  MagiFfaPlan plan;
  Slots slots;
  int64_t query_rows;    // total_q rounded up to kTileCols
  int32_t dim_units;
  int32_t dim_padded;    // head_dim rounded up to whole vectors
  int32_t num_blocks;    // blocks of kTileCols queries
  int32_t max_run_bands;
  Operand q;             // units along head_dim
  Operand grad_out;
  Operand q_pairs;       // units along rows; the same as q where a unit is one element
  Operand grad_out_pairs;
  float* lse2;           // [num_heads_q, query_rows], base 2; +infinity for rows without keys and rows of padding
  float* delta;          // [num_heads_q, query_rows], sum over head_dim of out * grad_out
  float* grad_q;         // [query slots, query_rows, dim_padded], float32, not yet scaled
  // Blocks of grad_q are added to in the plan's tile order, so that sums do not depend on threads: the tile whose rank
  // for a block equals the number of tiles that are done with it comes next. The first one clears the block, the last one
  // writes it out.
  int32_t* blocks_done;   // [num_heads_q, num_blocks], accessed atomically
  int32_t* block_visits;  // [num_blocks], the number of tiles that visit a block
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
  int64_t (*forward_scratch_floats)(const ForwardJob&);
  int64_t (*backward_scratch_floats)(const BackwardJob&);
  // Rows [begin, end) of one head into a slot; begin is a multiple of pack.
  void (*pack_operand)(const Operand&, int64_t slot, int head, int64_t head_dim, int64_t begin, int64_t end);
  void (*forward_tile)(const ForwardJob&, float* scratch, int tile, int head);
  // lse2 and delta of queries [begin, end), all heads; zeros into grad_q where no tile visits.
  void (*prepare_queries)(const BackwardJob&, int64_t begin, int64_t end);
  // One tile of keys of one key/value head. ranks [num_blocks]: this tile's turn at each block of queries it visits.
  void (*backward_tile)(const BackwardJob&, float* scratch, int tile, int head, const int32_t* ranks);
};

// Null where the library was built without the instruction set.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* avx512_bf16_kernels();  // for bfloat16 tensors only

}  // namespace magi::ffa
