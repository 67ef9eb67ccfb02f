// What the entry points verify before they enqueue anything: sizes, codes, pointers and the shape of the plan. Device memory is
// never read, so what a plan in device memory holds is the caller's promise.
#ifndef MAGI_FFA_CUDA_CHECKS_HPP
#define MAGI_FFA_CUDA_CHECKS_HPP

#include <magi/ffa.h>

#include "params.hpp"

namespace magi::ffa {

// float32 is MAGI_UNSUPPORTED: the kernels multiply 16-bit types only.
void check_dtype(int32_t dtype);

void check_forward(const MagiFfaForwardArgs& args);
void check_backward(const MagiFfaBackwardArgs& args);

// The plan as kernels read it, after a check that it was made for these sizes and tiles.
PlanView view_plan(const MagiFfaPlan& plan, int64_t num_rows, int64_t num_cols, int32_t tile_rows, int32_t tile_cols);

}  // namespace magi::ffa

#endif
