// For the deterministic order of a sparse plan: how many key tiles visit a query tile before a given one does.
#ifndef MAGI_FFA_SM90_BACKWARD_RANKS_CUH
#define MAGI_FFA_SM90_BACKWARD_RANKS_CUH

#include "../params.hpp"

namespace magi::ffa::sm90 {

// ranks [num_tiles, num_query_tiles]; written where the key tile visits the query tile.
void launch_backward_ranks(const PlanView& plan, int32_t num_query_tiles, int32_t* ranks, cudaStream_t stream);

}  // namespace magi::ffa::sm90

#endif
