// The work items of backward, listed by the kernel before it: which queries a block goes through for a key tile, and where it
// starts.
#ifndef MAGI_FFA_SM90_BACKWARD_ITEMS_CUH
#define MAGI_FFA_SM90_BACKWARD_ITEMS_CUH

#include <cstdint>

#include "../common/dense_runs.cuh"
#include "backward_schedule.hpp"

namespace magi::ffa::sm90 {

// Query tiles.
struct TileSpan {
  int32_t begin;
  int32_t end;
};

// From the first to the last query tile that a key tile visits. There may be gaps.
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

// What there is to do for a key tile within a chunk.
__device__ inline BackwardPiece piece_of(const PlanView& plan, const BackwardSchedule& schedule, int32_t tile, int32_t chunk) {
  TileSpan span = tile_span(plan, tile);
  const int32_t chunk_begin = chunk * schedule.chunk_tiles, chunk_end = chunk_begin + schedule.chunk_tiles;
  const bool begins_here = span.begin >= chunk_begin && span.begin < chunk_end;
  bool shares_end = (tile > 0 && tile_span(plan, tile - 1).end == span.end) ||
                    (tile + 1 < plan.num_tiles && tile_span(plan, tile + 1).end == span.end);
  bool present = begins_here;
  if (is_cut(span, schedule)) {
    shares_end |= span.end >= chunk_end;
    span = {max(span.begin, chunk_begin), min(span.end, chunk_end)};
    present = span.begin < span.end;
  }
  return {present ? tile : -1, span.begin, span.end, start_of(span, shares_end)};
}

// Writes the list. Run by a whole block; kThreads of them.
template <int kThreads>
class ItemLister {
 public:
  __device__ ItemLister(const PlanView& plan, const BackwardSchedule& schedule, BackwardItemList list)
      : plan_(plan), schedule_(schedule), list_(list) {}

  // By the plan's order, most work first. Where spans are cut, that is the order within a chunk, and chunks follow each other.
  __device__ void run() {
    const bool cuts = any_cut();
    BackwardSchedule schedule = schedule_;
    if (!cuts) {
      schedule.num_chunks = 1;
      schedule.chunk_tiles = INT32_MAX;
      schedule.heads_per_section = schedule.num_heads;
    }
    const int32_t candidates = schedule.num_chunks * plan_.num_tiles;
    for (int32_t first = 0; first < candidates; first += kThreads) {
      const int32_t index = first + static_cast<int32_t>(threadIdx.x);
      BackwardPiece piece = {-1, 0, 0, 0};
      if (index < candidates) {
        const int32_t chunk = index / plan_.num_tiles;
        const int32_t tile = tile_at(plan_, schedule.reverse_tiles, index - chunk * plan_.num_tiles);
        piece = piece_of(plan_, schedule, tile, chunk);
      }
      append(piece);
    }
    if (threadIdx.x == 0) *list_.header = {count_, schedule.heads_per_section};
  }

 private:
  static constexpr int kWarps = kThreads / 32;

  __device__ bool any_cut() const {
    __shared__ bool found;
    if (threadIdx.x == 0) found = false;
    __syncthreads();
    for (int32_t tile = threadIdx.x; tile < plan_.num_tiles; tile += kThreads) {
      if (is_cut(tile_span(plan_, tile), schedule_)) found = true;
    }
    __syncthreads();
    return found;
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
    if (!present) return;
    const bool partial = is_cut(tile_span(plan_, piece.tile), schedule_);
    list_.entries[at] = make_int4(2 * piece.tile + (partial ? 1 : 0), piece.begin, piece.end, piece.start);
  }

  const PlanView& plan_;
  const BackwardSchedule& schedule_;
  BackwardItemList list_;
  int32_t count_ = 0;
};

}  // namespace magi::ffa::sm90

#endif
