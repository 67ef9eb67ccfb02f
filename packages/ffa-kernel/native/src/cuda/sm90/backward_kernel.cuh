// The Hopper backward kernel: one producer warp and two consumer warpgroups a block, one block a multiprocessor.
#ifndef MAGI_FFA_SM90_BACKWARD_KERNEL_CUH
#define MAGI_FFA_SM90_BACKWARD_KERNEL_CUH

#include "backward_consumer.cuh"
#include "backward_launch.cuh"
#include "backward_producer.cuh"

namespace magi::ffa::sm90 {

template <typename Config>
__device__ inline void prepare_barriers(BackwardStorage<Config>& storage) {
  for (int i = 0; i < Config::kQueryStages; ++i) {
    barrier_init(&storage.query_full[i], 1);
    barrier_init(&storage.query_empty[i], Config::kConsumers);
  }
  for (int i = 0; i < Config::kGradStages; ++i) {
    barrier_init(&storage.grad_full[i], 1);
    barrier_init(&storage.grad_empty[i], Config::kConsumers);
  }
  for (int i = 0; i < Config::kItemSlots; ++i) {
    barrier_init(&storage.item_full[i], 1);
    barrier_init(&storage.item_empty[i], Config::kConsumers * 4);
  }
  barrier_init(&storage.keys_full, 1);
  barrier_init(&storage.values_full, 1);
  barrier_init(&storage.keys_empty, Config::kConsumers);
  fence_barrier_init();
}

template <typename Config, typename T, bool kSoftcap>
__global__ void __launch_bounds__(Config::kThreads, 1) backward_kernel(const __grid_constant__ BackwardKernelParams params) {
  extern __shared__ __align__(1024) uint8_t memory[];
  BackwardStorage<Config>& storage = *reinterpret_cast<BackwardStorage<Config>*>(memory);
  const int warpgroup = __shfl_sync(0xFFFFFFFFu, threadIdx.x / 128, 0);
  if (threadIdx.x == 0) {
    prepare_barriers(storage);
    prefetch_tensor_map(&params.q_map);
    prefetch_tensor_map(&params.grad_out_map);
    prefetch_tensor_map(&params.k_map);
    prefetch_tensor_map(&params.v_map);
  }
  __syncthreads();
  wait_for_previous_kernel();
  allow_next_kernel();
  if (warpgroup == 0) {
    give_registers<24>();
    if (threadIdx.x == 0) BackwardProducer<Config>(params, storage).run();
  } else {
    take_registers<240>();
    BackwardConsumer<Config, T, kSoftcap>(params, storage).run();
  }
}

template <int kHeadDim, typename T, bool kSoftcap>
void launch_backward_kernel(const BackwardKernelParams& params, int32_t blocks, cudaStream_t stream) {
  using Config = BackwardConfig<kHeadDim>;
  const auto kernel = backward_kernel<Config, T, kSoftcap>;
  launch(kernel, {blocks, Config::kThreads, sizeof(BackwardStorage<Config>), stream, true}, params, "backward kernel");
}

}  // namespace magi::ffa::sm90

#endif
