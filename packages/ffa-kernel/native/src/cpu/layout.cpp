#include "layout.hpp"

namespace magi::ffa {
namespace {

// Where a column is shared by fewer tiles than this, copying it costs more than its scattered rows do.
constexpr int64_t kMinVisitsToPack = 12;

}  // namespace

int64_t count_visits(const MagiFfaPlan& plan) {
  int64_t visits = 0;
  for (int tile = 0; tile < plan.num_tiles; ++tile) {
    int64_t begin = 0, end = 0;
    if (plan.tile_runs == nullptr) {
      if (dense_hull(plan, tile, &begin, &end)) visits += (end - begin + kTileCols - 1) / kTileCols;
    } else {
      for (int32_t i = plan.tile_runs[tile]; i < plan.tile_runs[tile + 1]; ++i) visits += plan.runs[4 * int64_t{i} + 1];
    }
  }
  return visits;
}

bool is_packing_worth_it(const MagiFfaPlan& plan, int64_t visits) {
  return visits >= kMinVisitsToPack * ((plan.num_cols + kTileCols - 1) / kTileCols);
}

Operand make_operand(const Kernels& kernels, const void* tensor, int64_t total, int32_t heads, int32_t dtype,
                     bool along_rows, bool is_packing) {
  // Rows of the tensor are rows of units when the dtype is theirs and a unit does not span two rows.
  const bool has_units = dtype == (kernels.pack == 2 ? MAGI_BFLOAT16 : MAGI_FLOAT32);
  const bool in_place = has_units && !(along_rows && kernels.pack > 1);
  const Place place = is_packing ? Place::kPacked : in_place ? Place::kInPlace : Place::kLocal;
  return {tensor, total, heads, dtype, along_rows, place, nullptr, 0};
}

void carve_operand(Carver& carver, const Kernels& kernels, int64_t slots, int64_t head_dim, Operand* operand) {
  if (operand->place != Place::kPacked) return;
  const int64_t rows = (operand->total + kTileCols - 1) / kTileCols * kTileCols;
  operand->slot_floats = rows / kernels.pack * head_dim;
  operand->packed = carver.take<float>(slots * operand->slot_floats);
}

}  // namespace magi::ffa
