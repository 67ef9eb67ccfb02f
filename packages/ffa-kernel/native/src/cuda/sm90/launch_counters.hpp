// The counters by which the blocks of a launch share out items.
#ifndef MAGI_FFA_SM90_LAUNCH_COUNTERS_HPP
#define MAGI_FFA_SM90_LAUNCH_COUNTERS_HPP

#include <cstdint>

#include <cuda_runtime_api.h>

namespace magi::ffa::sm90 {

// Two zeroed counters of this stream's own: launches of one stream follow each other, and each leaves zeros behind. Kept for
// as long as the process lives.
int32_t* launch_counters(int device, cudaStream_t stream);

}  // namespace magi::ffa::sm90

#endif
