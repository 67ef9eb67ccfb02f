// Rings of buffers, with a barrier for each that is full and one for each that is empty.
#ifndef MAGI_FFA_SM90_RING_CUH
#define MAGI_FFA_SM90_RING_CUH

#include <cstdint>

namespace magi::ffa::sm90 {

// A place in a ring of kStages buffers. The parity flips with each lap.
template <int kStages>
struct RingPosition {
  int stage = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ RingPosition before() const {
    return stage > 0 ? RingPosition{stage - 1, phase} : RingPosition{kStages - 1, phase ^ 1};
  }

  __device__ __forceinline__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

}  // namespace magi::ffa::sm90

#endif
