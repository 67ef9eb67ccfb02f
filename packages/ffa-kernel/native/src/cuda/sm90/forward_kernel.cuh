// Forward attention on Hopper: one persistent block a multiprocessor. Warpgroup 0 loads and schedules; the others multiply,
// each 64 rows of an item, taking turns at the tensor cores so that one's softmax runs under the other's products. The
// structure is FlashAttention-3's (arXiv:2407.08608): within a warpgroup, too, the scores of tile j + 1 are issued before
// tile j's probabilities meet the values. Here this goes on across items.
#ifndef MAGI_FFA_SM90_FORWARD_KERNEL_CUH
#define MAGI_FFA_SM90_FORWARD_KERNEL_CUH

#include "forward_consumer.cuh"
#include "forward_loader.cuh"
#include "forward_scheduler.cuh"

namespace magi::ffa::sm90 {

template <typename Shape>
__device__ __forceinline__ void init_barriers(ForwardShared<Shape>& shared) {
  constexpr int kConsumers = Shape::kConsumers;
  for (int i = 0; i < Shape::kStages; ++i) {
    barrier_init(&shared.k_full[i], 1);
    barrier_init(&shared.v_full[i], 1);
    barrier_init(&shared.k_empty[i], kConsumers);
    barrier_init(&shared.v_empty[i], kConsumers);
  }
  for (int i = 0; i < Shape::kQueryStages; ++i) {
    barrier_init(&shared.q_full[i], 1);
    barrier_init(&shared.q_empty[i], kConsumers);
  }
  for (int i = 0; i < Shape::kItemStages; ++i) {
    barrier_init(&shared.item_full[i], 1);
    barrier_init(&shared.item_empty[i], 4 * kConsumers + 1);
  }
  barrier_init(&shared.flushed, kConsumers);
  shared.num_retries = 0;
  fence_barrier_init();
}

template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    forward_kernel(const __grid_constant__ ForwardKernelParams params) {
  auto& shared = shared_storage<ForwardShared<Shape>>();
  if (threadIdx.x == 0) init_barriers(shared);
  __syncthreads();

  if (threadIdx.x < 128) {
    give_registers<Shape::kLoaderRegisters>();
    const int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0);
    const int lane = threadIdx.x % 32;
    if (warp == 0) {
      if (elect_one()) {
        prefetch_tensor_map(&params.q_map);
        prefetch_tensor_map(&params.k_map);
        prefetch_tensor_map(&params.v_map);
        prefetch_tensor_map(&params.out_map);
      }
      __syncwarp();
      ForwardLoader<Shape>(params, shared, lane).run();
    } else if (warp == 1) {
      schedule_items(params, shared, lane);
    }
  } else {
    take_registers<Shape::kConsumerRegisters>();
    const int warpgroup = __shfl_sync(0xffffffff, threadIdx.x / 128, 0) - 1;
    ForwardConsumer<Shape>(params, shared, warpgroup).run();
  }
}

}  // namespace magi::ffa::sm90

#endif
