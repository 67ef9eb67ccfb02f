// The work items of backward, listed by the kernel before it: which queries a block goes through for a key tile, and where it
// starts.
#ifndef MAGI_FFA_SM90_BACKWARD_ITEMS_CUH
#define MAGI_FFA_SM90_BACKWARD_ITEMS_CUH

#include <cstdint>

#include "../common/dense_runs.cuh"
#include "backward_schedule.hpp"

namespace magi::ffa::sm90 {

__device__ inline TileSpan tile_span(const PlanView& plan, int32_t tile) {
  const int32_t shift = __ffs(plan.tile_cols) - 1;
  if (plan.tile_runs == nullptr) {
    const DenseRuns runs = dense_runs(plan, tile, true);
    return {runs.col_begin >> shift, (runs.col_begin >> shift) + runs.num_tiles};
  }
  const int4* runs = reinterpret_cast<const int4*>(plan.runs);
  const int32_t first = plan.tile_runs[tile], end = plan.tile_runs[tile + 1];
  if (first == end) return {0, 0};
  return {runs[first].x >> shift, (runs[end - 1].x >> shift) + runs[end - 1].y};
}

// Long spans are cut where chunks of the queries begin, so that what blocks read at a time stays in L2. The others are items as
// they are.
__device__ inline bool is_cut(const TileSpan& span, const BackwardSchedule& schedule) {
  return span.end - span.begin > schedule.chunk_tiles;
}

// Queries are visited in falling order, from `start` - 1 to `begin` and then from `end` - 1 to `start`.
struct BackwardPiece {
  int32_t tile;  // negative: none
  int32_t begin;
  int32_t end;
  int32_t start;
  bool is_partial;
};

// Blocks that run at a time read the same queries at about the same time if they start at the same place. That is the end of a
// span which neighbours share; else, in a window, the roundest number in it. Shifted spans of one length then meet each query
// tile at the same step.
__device__ inline int32_t start_of(const TileSpan& span, bool shares_end) {
  int32_t start = span.end;
  while (!shares_end && (start & (start - 1)) > span.begin) start &= start - 1;
  return start;
}

__device__ inline int32_t tile_at(const PlanView& plan, bool reverse_tiles, int32_t place) {
  if (plan.tile_order != nullptr) return plan.tile_order[place];
  return reverse_tiles ? plan.num_tiles - 1 - place : place;
}

__device__ inline KeyTile key_tile(const PlanView& plan, int32_t tile) {
  const TileSpan span = tile_span(plan, tile);
  const bool shares_end = (tile > 0 && tile_span(plan, tile - 1).end == span.end) ||
                          (tile + 1 < plan.num_tiles && tile_span(plan, tile + 1).end == span.end);
  return {tile, span, shares_end};
}

// What there is to do for a key tile within a chunk.
__device__ inline BackwardPiece piece_of(const KeyTile& key, const BackwardSchedule& schedule, int32_t chunk) {
  const int32_t chunk_begin = chunk * schedule.chunk_tiles, chunk_end = chunk_begin + schedule.chunk_tiles;
  if (!is_cut(key.span, schedule)) {
    const bool begins_here = key.span.begin >= chunk_begin && key.span.begin < chunk_end;
    return {begins_here ? key.tile : -1, key.span.begin, key.span.end, start_of(key.span, key.shares_end), false};
  }
  const TileSpan part = {max(key.span.begin, chunk_begin), min(key.span.end, chunk_end)};
  const bool shares_end = key.shares_end || key.span.end >= chunk_end;
  return {part.begin < part.end ? key.tile : -1, part.begin, part.end, start_of(part, shares_end), true};
}

// Writes the list. Run by a whole block; kThreads of them.
template <int kThreads>
class ItemLister {
 public:
  __device__ ItemLister(const PlanView& plan, const BackwardSchedule& schedule, BackwardItemList list)
      : plan_(plan), schedule_(schedule), list_(list) {}

  // By the plan's order, most work first. Where spans are cut, that is the order within a chunk, and chunks follow each other.
  __device__ void run() {
    const bool cuts = read_tiles();
    BackwardSchedule schedule = schedule_;
    if (!cuts) {
      schedule.num_chunks = 1;
      schedule.chunk_tiles = INT32_MAX;
      schedule.heads_per_section = schedule.num_heads;
    }
    const int32_t candidates = schedule.num_chunks * plan_.num_tiles;
    for (int32_t first = 0; first < candidates; first += kThreads) {
      const int32_t index = first + static_cast<int32_t>(threadIdx.x);
      BackwardPiece piece = {-1, 0, 0, 0, false};
      if (index < candidates) {
        const int32_t chunk = index / plan_.num_tiles;
        piece = piece_of(list_.tiles[index - chunk * plan_.num_tiles], schedule, chunk);
      }
      append(piece);
    }
    if (threadIdx.x == 0) *list_.header = {count_, schedule.heads_per_section};
  }

 private:
  static constexpr int kWarps = kThreads / 32;

  // Whether any is to be cut.
  __device__ bool read_tiles() const {
    __shared__ bool cuts;
    if (threadIdx.x == 0) cuts = false;
    __syncthreads();
    for (int32_t place = threadIdx.x; place < plan_.num_tiles; place += kThreads) {
      const KeyTile key = key_tile(plan_, tile_at(plan_, schedule_.reverse_tiles, place));
      list_.tiles[place] = key;
      if (is_cut(key.span, schedule_)) cuts = true;
    }
    __syncthreads();
    return cuts;
  }

  // The pieces that threads have, in their order.
  __device__ void append(const BackwardPiece& piece) {
    __shared__ int32_t warp_counts[kWarps];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const bool present = piece.tile >= 0;
    const uint32_t found = __ballot_sync(0xFFFFFFFFu, present);
    if (lane == 0) warp_counts[warp] = __popc(found);
    __syncthreads();
    int32_t at = count_ + __popc(found & ((1u << lane) - 1));
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp) at += warp_counts[w];
      count_ += warp_counts[w];
    }
    __syncthreads();
    if (present) list_.entries[at] = make_int4(2 * piece.tile + (piece.is_partial ? 1 : 0), piece.begin, piece.end, piece.start);
  }

  const PlanView& plan_;
  const BackwardSchedule& schedule_;
  BackwardItemList list_;
  int32_t count_ = 0;
};

}  // namespace magi::ffa::sm90

#endif
