// Which kernels a call uses, on how many threads, and in which order.
#pragma once

#include <cstdint>

#include "job.hpp"

namespace magi::ffa {

// The kernels of the active instruction set for tensors of one dtype.
const Kernels& kernels_for(int32_t dtype);

// What the caller asked for, or the default; fewer where there is too little work to pay for waking them.
// visits: see count_visits; heads: query heads.
int threads_for(int32_t requested, const MagiFfaPlan& plan, int64_t visits, int64_t heads, int64_t head_dim);

// In which order tiles are started.
enum class TileOrder {
  kMostWorkFirst,  // keeps threads busy to the end
  kByRows,         // neighbours share columns, which are still in the caches
};

// By rows where tiles are so many, num_items with all heads, that the last ones do not matter. Never by the number of threads:
// backward sums in this order.
inline TileOrder order_by_rows(int64_t num_items) {
  constexpr int64_t kManyItems = 128;
  return num_items >= kManyItems ? TileOrder::kByRows : TileOrder::kMostWorkFirst;
}

// The tile that is started as number `position`.
inline int tile_at(const MagiFfaPlan& plan, TileOrder order, int64_t position) {
  if (order == TileOrder::kByRows) return static_cast<int>(position);
  if (plan.tile_order != nullptr) return plan.tile_order[position];
  // A lone band has no order of its own: it has most work at one end, at most a few tiles long, or everywhere alike.
  const bool grows = plan.num_bands > 0 && plan.bands[5] < plan.num_cols;  // hi bounds: later rows see more
  return static_cast<int>(grows ? plan.num_tiles - 1 - position : position);
}

}  // namespace magi::ffa
