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

// The tile that is started as number `position`. A dense plan has no order of its own: a lone band has most work at one end,
// at most a few tiles long, or everywhere alike.
inline int tile_at(const MagiFfaPlan& plan, int64_t position) {
  if (plan.tile_order != nullptr) return plan.tile_order[position];
  const bool grows = plan.num_bands > 0 && plan.bands[5] < plan.num_cols;  // hi bounds: later rows see more
  return static_cast<int>(grows ? plan.num_tiles - 1 - position : position);
}

}  // namespace magi::ffa
