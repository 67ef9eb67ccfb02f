// Whether operands are copied before they are used, and where the copies lie.
#pragma once

#include <cstdint>

#include "job.hpp"
#include "workspace.hpp"

namespace magi::ffa {

// One batch of heads is packed, one is computed, and the last tiles of a third may still run.
constexpr int kBatchesUnderWay = 3;

// Whether the kernels can read rows of this dtype as they are.
bool is_unit_dtype(const Kernels& kernels, int32_t dtype);

// Blocks of kTileCols columns that the tiles of a plan visit, all together.
int64_t count_visits(const MagiFfaPlan& plan);

// Whether enough tiles share a column to pay for a copy of it.
bool is_packing_worth_it(const MagiFfaPlan& plan, int64_t visits);

Rows rows_in_place(const void* tensor, int64_t head, int64_t row, int64_t end);
// num_rows rows of `width` units; `pack` of them share one.
Rows packed_rows(int64_t num_rows, int64_t width, int pack);
// Room for what is packed.
void carve_rows(Carver& carver, Rows* rows, int64_t slots);

}  // namespace magi::ffa
