// What the warps of the forward kernel share: its shape, parameters and shared memory.
#ifndef MAGI_FFA_SM90_FORWARD_TYPES_CUH
#define MAGI_FFA_SM90_FORWARD_TYPES_CUH

#include <type_traits>

#include "../common/numeric.cuh"
#include "../params.hpp"
#include "matrix_descriptor.cuh"
#include "ptx.cuh"
#include "ring.cuh"
#include "shared_storage.cuh"
#include "tile_sizes.hpp"

namespace magi::ffa::sm90 {

template <typename T, int kDim, bool kTransform>
struct ForwardShape {
  using Element = T;
  static constexpr int kHeadDim = kDim;
  // Scores pass through a function (softcap, or a scale that is not positive) before the softmax.
  static constexpr bool kTransformScores = kTransform;
  // Most tiles do without a maximum: see OnlineSoftmax. bfloat16 alone has the range for it; head_dim 256 has no register left.
  static constexpr bool kStaleMaximum = std::is_same_v<T, __nv_bfloat16> && kDim <= 192;
  static constexpr int kConsumers = kForwardConsumers;
  static constexpr int kCols = forward_tile_cols(kDim);
  // Rows lie in shared memory as panels of 64 elements, the last one filled up with zeros.
  static constexpr int kPanels = (kDim + 63) / 64;
  static constexpr int kRowBytes = kPanels * 128;
  static constexpr int kBoxes = kDim % 64 == 0 ? 1 : kPanels;  // of the tensor maps, for whole rows
  static constexpr int kStages = 2;  // of K, and of V
  // Scores that become probabilities under the output of the tile before; the others follow while these are packed.
  static constexpr int kEarlyScores = kCols / 2 / (kDim == 64 ? 4 : 2);
  // Whether an item begins while the one before it ends: its queries have to be there, too.
  static constexpr bool kCrossesItems = kDim <= 128;
  // The queries of this item and of the next, and the output of the item before, which waits in its queries' place.
  static constexpr int kQueryStages = kCrossesItems ? 3 : 1;
  static constexpr int kItemStages = 2;  // items claimed far ahead would be missing where blocks run dry
  // One more than the K stages at least: a slow warp may still read a record after its K tile has been released.
  static constexpr int kRecordStages = 4;
  static constexpr int kThreads = 128 * (kConsumers + 1);
  static constexpr int kLoaderRegisters = 40;
  static constexpr int kConsumerRegisters = 232;
  static constexpr uint32_t kQueryBytes = kWarpgroupRows * kRowBytes;  // of one warpgroup
  static constexpr uint32_t kKeyBytes = kCols * kRowBytes;
};

struct ForwardKernelParams {
  CUtensorMap q_map;
  CUtensorMap out_map;
  CUtensorMap k_map;
  CUtensorMap v_map;
  PlanView plan;
  const float* sink;
  void* out;         // 16-bit elements, or null
  float* out_float;  // not null: out is float32 and written from registers
  float* lse;
  float* max_logits;
  int32_t* counters;  // next item, finished blocks: zero before and after each launch
  int32_t total_q;
  int32_t num_heads_q;
  int32_t packed;         // query heads in the rows of a tile
  int32_t packed_log2;
  int32_t num_row_heads;  // num_heads_q / packed: each item is a row tile of one of them
  int32_t kv_divisor;     // kv head = row head / kv_divisor
  int32_t section_heads;  // row heads whose keys and values fit into L2 together
  int32_t sink_layout;
  int32_t sink_tokens;
  bool accumulate;
  bool dense_descending;  // order of a dense plan's row tiles
  ScoreTransform transform;
  float scale_log2;  // of the (transformed) scores, for exp2
  bool exact_maxima;  // never do without
};

constexpr int kInlineRuns = 4;
constexpr int kInlineBands = 4;
constexpr int kNoRun = -1;

// The bands of a dense plan are not in memory: this index stands for PlanView::band.
constexpr int kDenseBand = -1;

constexpr int32_t kFlush = -1;  // finish what is begun, and say so
constexpr int32_t kEnd = -2;    // there is no more work

// Items that have to be computed again, with exact maxima.
struct RetryItem {
  int32_t tile;
  int32_t head;
  int32_t warpgroup;
};

// So many are waited for, before they are computed; a few more may be under way then.
constexpr int kManyRetries = 16;
constexpr int kRetrySlots = 32;

// An item of work: one row tile of one head.
struct ForwardItem {
  int32_t tile;  // or kFlush, kEnd
  int32_t head;  // row head
  int32_t num_tiles;
  int32_t num_masked;  // these come first
  int32_t run_begin;
  int32_t tail_run;  // or kNoRun. Its last tile reaches beyond the keys, and comes first, masked
  int16_t exact;        // exact maxima for every column tile
  int16_t warpgroups;   // bit i: consumer i stores its rows
  int4 runs[kInlineRuns];  // the first of them: col_begin, num_col_tiles, band_begin, band_count
};

// What a consumer keeps of its item.
struct ConsumerItem {
  int tile;
  int head;
  int num_tiles;
  int num_masked;
  int query_stage;
  bool exact;
  bool stores;
};

// What a masked column tile needs beside K.
struct TileRecord {
  int32_t col_begin;
  int32_t band_count;
  int32_t band_begin;
  int32_t unused;  // so that the bands begin at 16 bytes
  int32_t bands[kInlineBands][6];
};

template <typename Shape>
struct alignas(1024) ForwardShared {
  static constexpr int kConsumers = Shape::kConsumers;
  alignas(1024) char q[Shape::kQueryStages][kConsumers][Shape::kQueryBytes];  // then the item's output
  alignas(1024) char k[Shape::kStages][Shape::kKeyBytes];
  alignas(1024) char v[Shape::kStages][Shape::kKeyBytes];
  alignas(16) ForwardItem items[Shape::kItemStages];
  alignas(16) TileRecord records[Shape::kRecordStages];
  uint64_t q_full[Shape::kQueryStages];
  uint64_t q_empty[Shape::kQueryStages];
  uint64_t k_full[Shape::kStages];
  uint64_t k_empty[Shape::kStages];
  uint64_t v_full[Shape::kStages];
  uint64_t v_empty[Shape::kStages];
  uint64_t item_full[Shape::kItemStages];
  uint64_t item_empty[Shape::kItemStages];
  uint64_t flushed;
  RetryItem retries[kRetrySlots];
  int32_t num_retries;
};

}  // namespace magi::ffa::sm90

#endif
