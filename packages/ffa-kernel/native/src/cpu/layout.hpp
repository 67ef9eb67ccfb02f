// Whether operands are copied before they are used, and where the copies lie.
#pragma once

#include <cstdint>

#include "job.hpp"
#include "workspace.hpp"

namespace magi::ffa {

// One batch of heads is packed, one is computed, and the last tiles of a third may still run.
constexpr int kBatchesUnderWay = 3;

// Blocks of kTileCols columns that the tiles of a plan visit, all together.
int64_t count_visits(const MagiFfaPlan& plan);

// Whether enough tiles share a column to pay for a copy of it.
bool is_packing_worth_it(const MagiFfaPlan& plan, int64_t visits);

// The operand `tensor` [total, heads, head_dim] with its place chosen; along_rows: see Operand.
Operand make_operand(const Kernels& kernels, const void* tensor, int64_t total, int32_t heads, int32_t dtype,
                     bool along_rows, bool is_packing);

// Room for the slots of what is packed.
void carve_operand(Carver& carver, const Kernels& kernels, int64_t slots, int64_t head_dim, Operand* operand);

}  // namespace magi::ffa
