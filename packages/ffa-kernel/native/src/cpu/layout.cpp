#include "layout.hpp"

namespace magi::ffa {
namespace {

// Where a column is shared by fewer tiles than this, copying it costs more than its scattered rows do.
constexpr int64_t kMinVisitsToPack = 12;

}  // namespace

bool is_unit_dtype(const Kernels& kernels, int32_t dtype) {
  return dtype == (kernels.pack == 2 ? MAGI_BFLOAT16 : MAGI_FLOAT32);
}

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
  if (plan.num_cols < kPanel) return true;  // too few rows for a panel to be read in place
  return visits >= kMinVisitsToPack * ((plan.num_cols + kTileCols - 1) / kTileCols);
}

Rows rows_in_place(const void* tensor, int64_t head, int64_t row, int64_t end) {
  return {static_cast<const float*>(tensor), head, row, end, false};
}

Rows packed_rows(int64_t num_rows, int64_t width, int pack) {
  return {nullptr, num_rows / pack * width, width, num_rows, true};
}

void carve_rows(Carver& carver, Rows* rows, int64_t slots) {
  if (rows->is_packed) rows->data = carver.take<float>(slots * rows->head);
}

}  // namespace magi::ffa
