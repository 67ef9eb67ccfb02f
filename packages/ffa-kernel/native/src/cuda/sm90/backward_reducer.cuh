// The warps, one for each consumer, that add dQ of a step to its sum in global memory, from a copy in shared memory.
#ifndef MAGI_FFA_SM90_BACKWARD_REDUCER_CUH
#define MAGI_FFA_SM90_BACKWARD_REDUCER_CUH

#include "backward_config.cuh"
#include "backward_turns.cuh"
#include "ptx.cuh"

namespace magi::ffa::sm90 {

// Named barriers of a consumer and its reducer: the copy may be written, or read.
constexpr int kReducerThreads = 128 + 32;
__device__ __forceinline__ void wait_for_free_sums(int consumer) { named_barrier_sync(2 + consumer, kReducerThreads); }
__device__ __forceinline__ void signal_free_sums(int consumer) { named_barrier_arrive(2 + consumer, kReducerThreads); }
__device__ __forceinline__ void wait_for_sums(int consumer) { named_barrier_sync(4 + consumer, kReducerThreads); }
__device__ __forceinline__ void signal_sums(int consumer) { named_barrier_arrive(4 + consumer, kReducerThreads); }

template <typename Config, bool kDeterministic>
__device__ void run_reducer(const BackwardKernelParams& params, BackwardStorage<Config>& storage, int consumer) {
  RingPosition<Config::kItemSlots> slot;
  RingPosition<Config::kQueryStages> step;
  constexpr int kElements = Config::kQueryTileElements / Config::kConsumers;
  // Read before the copy is free for the step's dQ: so long its consumer keeps the step.
  const auto next_query_tile = [&] {
    barrier_wait(&storage.query_full[step.stage], step.phase);
    const int32_t query_tile = storage.steps[step.stage].query_tile;
    __syncwarp();
    step.advance();
    return query_tile;
  };
  for (;;) {
    barrier_wait(&storage.item_full[slot.stage], slot.phase);
    const int32_t tile = storage.items[slot.stage].tile;
    const int32_t num_steps = storage.items[slot.stage].num_steps;
    __syncwarp();
    if (elect_one()) barrier_arrive(&storage.item_empty[slot.stage]);
    slot.advance();
    if (tile == BackwardItem::kEnd) break;
    int32_t next_tile = num_steps > 0 ? next_query_tile() : 0;
    for (int32_t m = 0; m < num_steps; ++m) {
      signal_free_sums(consumer);
      const int32_t query_tile = next_tile;
      float* sums = params.grad_q + int64_t{query_tile} * Config::kQueryTileElements + consumer * kElements;
      wait_for_sums(consumer);
      if (elect_one()) {
        if constexpr (kDeterministic) {
          const BackwardTurn turn(params, query_tile, tile, consumer);
          turn.wait();
          bulk_reduce_add(sums, storage.grad_q[consumer], kElements * sizeof(float));
          bulk_commit();
          bulk_wait<0>();
          turn.pass();
        } else {
          bulk_reduce_add(sums, storage.grad_q[consumer], kElements * sizeof(float));
          bulk_commit();
        }
      }
      if (m + 1 < num_steps) next_tile = next_query_tile();
      if constexpr (!kDeterministic) {
        if (elect_one()) bulk_wait_read<0>();
      }
      __syncwarp();
    }
  }
  // The copy must live until it has been read, and the sums must be there when the block ends.
  if (elect_one()) bulk_wait<0>();
}

}  // namespace magi::ffa::sm90

#endif
