// Shapes, shared memory and arguments of the Hopper backward kernel.
#ifndef MAGI_FFA_SM90_BACKWARD_CONFIG_CUH
#define MAGI_FFA_SM90_BACKWARD_CONFIG_CUH

#include <cstdint>

#include <cuda.h>

#include "../common/numeric.cuh"
#include "../params.hpp"
#include "backward_runs.cuh"
#include "backward_schedule.hpp"
#include "matrix_descriptor.cuh"
#include "ring.cuh"
#include "shared_storage.cuh"
#include "tile_sizes.hpp"

namespace magi::ffa::sm90 {

// One key tile against one query tile is a step. Each of the two consumer warpgroups has half of the key rows.
template <int kHeadDim>
struct BackwardConfig {
  static constexpr int kDim = kHeadDim;
  static constexpr int kQueryRows = backward_query_rows(kDim);
  static constexpr int kKeyRows = kBackwardKeyRows;
  static constexpr int kConsumers = 2;
  static constexpr int kThreads = (kConsumers + 1) * 128;

  // A block has 168 registers a thread to share out.
  static constexpr int kLoaderRegisters = kDim == 128 ? 24 : 40;
  static constexpr int kConsumerRegisters = kDim == 128 ? 240 : 232;

  // S of the next step is computed while this step still reads its Q; dO is needed for one step only.
  static constexpr int kQueryStages = 3;
  static constexpr int kGradStages = 2;
  static constexpr int kItemSlots = 2;
  // Steps that are loaded and not yet done can belong to as many runs, and one more is being loaded.
  static constexpr int kRunSlots = kQueryStages + 1;

  static constexpr int kQueryTileElements = kQueryRows * kDim;
  static constexpr int kKeyTileElements = kKeyRows * kDim;
  static constexpr int kScoreTileElements = kQueryRows * kKeyRows;
  static constexpr uint32_t kQueryTileBytes = kQueryTileElements * 2;
  static constexpr uint32_t kKeyTileBytes = kKeyTileElements * 2;
  static constexpr uint32_t kQueryPanelBytes = kQueryRows * 128;
  static constexpr uint32_t kKeyPanelBytes = kKeyRows * 128;

  // dQ of a step is shared by the consumers: 64 rows each, or where there are no more, half of the columns.
  static constexpr bool kSplitsQueryCols = kQueryRows == kWarpgroupRows;
  static constexpr int kGradQueryCols = kSplitsQueryCols ? kDim / kConsumers : kDim;
};

// Which query a row of a tile is, for tiles of so many rows that hold 1 << packed_shift heads.
struct PackedRow {
  int32_t token;
  int32_t query_head;

  static __device__ __forceinline__ PackedRow of(int32_t packed_head, int32_t tile, int32_t tile_rows, int32_t row,
                                                 int32_t packed_shift) {
    return {(tile * tile_rows + row) >> packed_shift, (packed_head << packed_shift) + (row & ((1 << packed_shift) - 1))};
  }
};

// What the loaders tell the consumers about a step.
struct alignas(16) BackwardStep {
  int32_t token;       // first query token of the tile
  int32_t query_tile;  // index into the accumulator of grad_q
  int32_t run;         // place of its BackwardRunBands
  int32_t band_count;  // kUnmasked: no mask; 0: only the end of the keys hides anything; else that many bands show what is seen
  static constexpr int32_t kUnmasked = -1;
};

// The first bands of a run, close at hand: reading them from the plan would take longer than a step.
struct alignas(16) BackwardRunBands {
  static constexpr int kCount = 2;
  static constexpr int kInts = 6;
  int32_t bands[kCount][8];  // read by fours
  int32_t begin;             // of all bands of the run, into run_bands
};

// A work item, as the warp that claims it tells the others: the steps of a key tile, or of a part of its queries.
struct alignas(16) BackwardItem {
  int32_t tile;  // kEnd: no more items
  int32_t head;  // of keys
  int32_t num_steps;
  bool is_partial;      // other items add to the gradients of these keys, too
  int32_t query_begin;  // query tiles: from query_start - 1 down to query_begin, then from query_end - 1 down to query_start
  int32_t query_end;
  int32_t query_start;
  static constexpr int32_t kEnd = -1;
};

template <typename Config>
struct alignas(1024) BackwardStorage {
  uint16_t k[Config::kKeyTileElements];
  uint16_t v[Config::kKeyTileElements];
  uint16_t q[Config::kQueryStages][Config::kQueryTileElements];
  uint16_t grad_out[Config::kGradStages][Config::kQueryTileElements];
  uint16_t grad_scores[2][Config::kScoreTileElements];
  float grad_q[Config::kConsumers][Config::kQueryTileElements / Config::kConsumers];  // of one step, on its way to the sum
  alignas(16) float lse2[Config::kQueryStages][Config::kQueryRows];
  alignas(16) float delta[Config::kGradStages][Config::kQueryRows];
  alignas(16) BackwardStep steps[Config::kQueryStages];
  BackwardRunBands runs[Config::kRunSlots];
  alignas(16) BackwardItem items[Config::kItemSlots];
  alignas(16) int4 dense_runs[2][kDenseRuns];  // of either loader
  uint64_t query_full[Config::kQueryStages];
  uint64_t query_empty[Config::kQueryStages];
  uint64_t grad_full[Config::kGradStages];
  uint64_t grad_empty[Config::kGradStages];
  uint64_t scores_full[2];
  uint64_t scores_empty[2];
  uint64_t item_full[Config::kItemSlots];
  uint64_t item_empty[Config::kItemSlots];
  uint64_t keys_full;
  uint64_t values_full;
  uint64_t keys_empty;
};

struct BackwardKernelParams {
  CUtensorMap q_map;
  CUtensorMap grad_out_map;
  CUtensorMap k_map;
  CUtensorMap v_map;
  PlanView plan;
  BackwardItemList items;
  const float* lse2;      // [num_query_heads, num_query_tiles * kQueryRows], base 2, +inf: nothing to do
  const float* delta;     // likewise
  float* grad_q;          // [num_query_heads, num_query_tiles, 2 consumers, registers / 4, 128 threads, 4], zeroed
  float* grad_k_sum;      // of partial items: [num_heads_kv, num_tiles, 2, registers / 4, 128, 4], zeroed
  float* grad_v_sum;
  void* grad_k;           // of the others: [total_k, num_heads_kv, head_dim]
  void* grad_v;
  int32_t* next_item;     // zeroed
  int32_t* turns;         // deterministic: [num_query_heads, num_query_tiles, 2 consumers], zeroed
  const int32_t* ranks;   // deterministic with a sparse plan: [num_tiles, num_query_tiles]
  int32_t total_q;
  int32_t total_k;
  int32_t num_heads_kv;
  bool reverse_tiles;     // see BackwardSchedule
  int32_t heads_per_group;  // query heads of a key head that are not in the rows of one tile: each is gone through in turn
  int32_t packed;           // query heads in the rows of a tile
  int32_t packed_shift;     // its logarithm
  int32_t num_query_tiles;
  float softmax_scale;
  float scale_log2;     // to base 2; with softcap: softcap in base 2
  float softcap_scale;  // softmax_scale / softcap
  bool float_grads;     // grad_k and grad_v are float32
};

}  // namespace magi::ffa::sm90

#endif
