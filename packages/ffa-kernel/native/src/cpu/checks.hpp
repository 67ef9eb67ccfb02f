// What an entry point verifies before it touches a pointer. The TypeScript side has checked the tensors already; this is the
// second line of defence, for other callers and for mistakes of ours.
#pragma once

#include <magi/ffa.h>

namespace magi::ffa {

// Shapes, dtypes and numbers of a call. Throws magi::Error.
void check_forward(const MagiFfaForwardArgs& args);
void check_backward(const MagiFfaBackwardArgs& args);

// Every index that a plan holds. Throws magi::Error. Returns the largest number of bands of any run.
int check_plan(const MagiFfaPlan& plan, int64_t num_rows, int64_t num_cols, int32_t tile_rows);

void check_dtype(int32_t dtype, const char* name);

}  // namespace magi::ffa
