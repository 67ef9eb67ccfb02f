// What every library says of its ABI, for a caller to compare.
#include <magi/ffa.h>

int32_t magi_ffa_abi_version(void) { return MAGI_FFA_ABI_VERSION; }
int64_t magi_ffa_sizeof_plan(void) { return sizeof(MagiFfaPlan); }
int64_t magi_ffa_sizeof_forward_args(void) { return sizeof(MagiFfaForwardArgs); }
int64_t magi_ffa_sizeof_backward_args(void) { return sizeof(MagiFfaBackwardArgs); }
int64_t magi_ffa_sizeof_tile_sizes(void) { return sizeof(MagiFfaTileSizes); }
