// How the work of backward is cut into items.
#ifndef MAGI_FFA_SM90_BACKWARD_SCHEDULE_HPP
#define MAGI_FFA_SM90_BACKWARD_SCHEDULE_HPP

#include <cstdint>

#include "../params.hpp"

namespace magi::ffa::sm90 {

// What the host decides.
struct BackwardSchedule {
  int32_t num_heads;          // of keys
  int32_t heads_per_section;  // whose chunks of the queries fit into L2 together
  int32_t num_chunks;
  int32_t chunk_tiles;        // query tiles of a chunk
  bool reverse_tiles;         // of a dense plan: the last key tile has the most work
};

BackwardSchedule backward_schedule(const BackwardParams& params, int32_t num_query_tiles);

// From the first query tile that a key tile visits to the last. There may be gaps.
struct TileSpan {
  int32_t begin;
  int32_t end;
};

struct KeyTile {
  int32_t tile;
  TileSpan span;
  bool shares_end;  // with a neighbour
};

// The items, for each section of heads the whole list by the heads. In device memory.
struct BackwardItemList {
  struct Header {
    int32_t count;              // entries
    int32_t heads_per_section;
  };
  KeyTile* tiles;  // in the plan's order, for whoever makes the list
  Header* header;
  int4* entries;  // 2 * key tile + whether it has several items, first query tile, end, start (backward_items.cuh)
};

}  // namespace magi::ffa::sm90

#endif
