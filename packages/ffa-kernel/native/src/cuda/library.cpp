// The C ABI of libmagi_ffa_cuda: checks a call, picks the kernels for it and has them enqueued.
#include <magi/ffa.h>
#include <magi/status.hpp>

#include <algorithm>

#include "../call_checks.hpp"
#include "checks.hpp"
#include "common/cuda_check.hpp"
#include "device.hpp"
#include "params.hpp"

namespace magi::ffa {
namespace {

struct Kernels {
  int32_t id;  // MagiFfaKernel
  TileSizes (*tile_sizes)(int32_t head_dim, int32_t group_size);
  void (*forward)(const ForwardParams&);
  void (*backward)(const BackwardParams&);
};

constexpr Kernels kSm80 = {MAGI_FFA_KERNEL_SM80, sm80::tile_sizes, sm80::forward, sm80::backward};

#if MAGI_FFA_SM90
constexpr Kernels kSm90 = {MAGI_FFA_KERNEL_SM90, sm90::tile_sizes, sm90::forward, sm90::backward};
#endif

struct Choice {
  const Kernels& forward;
  const Kernels& backward;
};

// Those of Hopper for each pass that has them.
Choice choose_kernels(int32_t kernel, int32_t head_dim, const DeviceInfo& device) {
  check(kernel == MAGI_FFA_KERNEL_AUTO || kernel == MAGI_FFA_KERNEL_SM80 || kernel == MAGI_FFA_KERNEL_SM90,
        "kernel: expected 0, 80 or 90, got %d", kernel);
#if MAGI_FFA_SM90
  // Code for sm_90a runs on that architecture alone.
  if (kernel != MAGI_FFA_KERNEL_SM80 && device.capability == 90 && sm90::supports_forward(head_dim)) {
    return {kSm90, sm90::supports_backward(head_dim) ? kSm90 : kSm80};
  }
#endif
  if (kernel == MAGI_FFA_KERNEL_SM90) {
    fail(MAGI_UNSUPPORTED,
         "kernel: the sm90 kernels are not for head_dim %d on compute capability %d.%d, or not in this build; use 0 (auto) or "
         "80 (sm80)",
         head_dim, device.capability / 10, device.capability % 10);
  }
  return {kSm80, kSm80};
}

template <typename Params, typename Args>
Params common_params(const Args& args, const DeviceInfo& device) {
  Params params{};
  params.q = args.q;
  params.k = args.k;
  params.v = args.v;
  params.sink = args.sink_tokens > 0 ? args.sink : nullptr;
  params.total_q = static_cast<int32_t>(args.total_q);
  params.total_k = static_cast<int32_t>(args.total_k);
  params.num_heads_q = args.num_heads_q;
  params.num_heads_kv = args.num_heads_kv;
  params.group_size = args.num_heads_q / args.num_heads_kv;
  params.head_dim = args.head_dim;
  params.dtype = args.dtype;
  params.sink_layout = args.sink_layout;
  params.sink_tokens = args.sink_tokens;
  params.softmax_scale = args.softmax_scale;
  params.softcap = args.softcap;
  params.device = args.device;
  params.num_sms = std::max(device.num_sms - args.sm_margin, 1);
  params.stream = static_cast<cudaStream_t>(args.stream);
  return params;
}

void forward(const MagiFfaForwardArgs& args) {
  check_forward(args);
  const DeviceInfo& device = device_info(args.device);
  const Kernels& kernels = choose_kernels(args.kernel, args.head_dim, device).forward;
  ForwardParams params = common_params<ForwardParams>(args, device);
  const TileSizes tiles = kernels.tile_sizes(args.head_dim, params.group_size);
  params.plan = view_plan(*args.plan, args.total_q, args.total_k, tiles.forward_rows, tiles.forward_cols);
  params.out = args.out;
  params.lse = args.lse;
  params.max_logits = args.max_logits;
  params.out_dtype = args.out_dtype;
  params.accumulate = args.accumulate != 0;
  const DeviceScope scope(args.device);
  kernels.forward(params);
}

void backward(const MagiFfaBackwardArgs& args) {
  check_backward(args);
  const DeviceInfo& device = device_info(args.device);
  const Kernels& kernels = choose_kernels(args.kernel, args.head_dim, device).backward;
  BackwardParams params = common_params<BackwardParams>(args, device);
  const TileSizes tiles = kernels.tile_sizes(args.head_dim, params.group_size);
  params.plan = view_plan(*args.plan, args.total_k, args.total_q, tiles.backward_rows, tiles.backward_cols);
  params.out = args.out;
  params.lse = args.lse;
  params.grad_out = args.grad_out;
  params.grad_q = args.grad_q;
  params.grad_k = args.grad_k;
  params.grad_v = args.grad_v;
  params.grad_sink = args.grad_sink;
  params.grad_dtype = args.grad_dtype;
  params.deterministic = args.deterministic != 0;
  const DeviceScope scope(args.device);
  kernels.backward(params);
}

void tile_sizes(int32_t head_dim, int32_t dtype, int32_t group_size, int32_t device, int32_t kernel, MagiFfaTileSizes* sizes) {
  check(sizes != nullptr && sizes->struct_size == sizeof(MagiFfaTileSizes), "sizes: expected a struct of %zu bytes",
        sizeof(MagiFfaTileSizes));
  check_head_dim(head_dim);
  check_dtype(dtype);
  check(group_size > 0, "group_size: expected at least 1, got %d", group_size);
  const Choice kernels = choose_kernels(kernel, head_dim, device_info(device));
  const TileSizes forward = kernels.forward.tile_sizes(head_dim, group_size);
  const TileSizes backward = kernels.backward.tile_sizes(head_dim, group_size);
  sizes->forward_rows = forward.forward_rows;
  sizes->forward_cols = forward.forward_cols;
  sizes->backward_rows = backward.backward_rows;
  sizes->backward_cols = backward.backward_cols;
  sizes->forward_align_cols = 0;
  sizes->kernel = kernels.forward.id;
}

}  // namespace
}  // namespace magi::ffa

const char* magi_ffa_isa(void) {
#if MAGI_FFA_SM90
  return "sm80, sm90";
#else
  return "sm80";
#endif
}

int32_t magi_ffa_tile_sizes(int32_t head_dim, int32_t dtype, int32_t group_size, int32_t device, int32_t kernel,
                            MagiFfaTileSizes* sizes, char* message, int32_t message_size) {
  return magi::guarded(message, message_size,
                       [&] { magi::ffa::tile_sizes(head_dim, dtype, group_size, device, kernel, sizes); });
}

int32_t magi_ffa_forward(const MagiFfaForwardArgs* args, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr, "args: expected a pointer");
    magi::ffa::forward(*args);
  });
}

int32_t magi_ffa_backward(const MagiFfaBackwardArgs* args, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr, "args: expected a pointer");
    magi::ffa::backward(*args);
  });
}
