// The Hopper backward kernel. A block, one to a multiprocessor, has two warpgroups that multiply, two warps that load and two
// that add up dQ.
#ifndef MAGI_FFA_SM90_BACKWARD_KERNEL_CUH
#define MAGI_FFA_SM90_BACKWARD_KERNEL_CUH

#include <type_traits>

#include "../common/launch.cuh"
#include "backward_consumer.cuh"
#include "backward_host.hpp"
#include "backward_loader.cuh"
#include "backward_reducer.cuh"

namespace magi::ffa::sm90 {

template <typename Config>
__device__ inline void prepare_barriers(BackwardStorage<Config>& storage) {
  for (int i = 0; i < Config::kQueryStages; ++i) {
    barrier_init(&storage.query_full[i], 1);
    barrier_init(&storage.query_empty[i], Config::kConsumers);
  }
  for (int i = 0; i < Config::kGradStages; ++i) {
    barrier_init(&storage.grad_full[i], 1);
    barrier_init(&storage.grad_empty[i], Config::kConsumers * 4);  // by warp
  }
  for (int i = 0; i < 2; ++i) {
    barrier_init(&storage.scores_full[i], Config::kConsumers * 4);
    barrier_init(&storage.scores_empty[i], Config::kConsumers);
  }
  for (int i = 0; i < Config::kItemSlots; ++i) {
    barrier_init(&storage.item_full[i], 1);
    barrier_init(&storage.item_empty[i], Config::kConsumers * 4 + 3);  // consumers, reducers and the other loader, by warp
  }
  barrier_init(&storage.keys_full, 1);
  barrier_init(&storage.values_full, 1);
  barrier_init(&storage.keys_empty, Config::kConsumers);
  fence_barrier_init();
}

template <typename Config, typename T, bool kSoftcap, bool kDeterministic>
__global__ void __launch_bounds__(Config::kThreads, 1) backward_kernel(const __grid_constant__ BackwardKernelParams params) {
  auto& storage = shared_storage<BackwardStorage<Config>>();
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
    give_registers<Config::kLoaderRegisters>();
    const int warp = __shfl_sync(0xFFFFFFFFu, threadIdx.x / 32, 0);
    if (warp == 0) {
      BackwardLoader<Config, true>(params, storage).run();
    } else if (warp == 1) {
      BackwardLoader<Config, false>(params, storage).run();
    } else {
      run_reducer<Config, kDeterministic>(params, storage, warp - 2);
    }
  } else {
    take_registers<Config::kConsumerRegisters>();
    BackwardConsumer<Config, T, kSoftcap>(params, storage).run();
  }
}

template <typename T, int kHeadDim>
void start_backward(const BackwardKernelParams& params, const BackwardLaunch& options) {
  using Config = BackwardConfig<kHeadDim>;
  constexpr int kBytes = shared_bytes<BackwardStorage<Config>>();
  const LaunchShape shape = {options.blocks, Config::kThreads, options.stream, kBytes, true};
  const auto start = [&](auto softcap, auto deterministic) {
    constexpr auto kKernel = backward_kernel<Config, T, softcap.value, deterministic.value>;
    launch_large<kKernel>(options.device, shape, params, "backward kernel");
  };
  const bool deterministic = params.turns != nullptr;
  if (options.softcap) {
    deterministic ? start(std::true_type{}, std::true_type{}) : start(std::true_type{}, std::false_type{});
  } else {
    deterministic ? start(std::false_type{}, std::true_type{}) : start(std::false_type{}, std::false_type{});
  }
}

}  // namespace magi::ffa::sm90

#endif
