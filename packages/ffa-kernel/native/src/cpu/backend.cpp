#include "backend.hpp"

#include <magi/cpu_features.hpp>
#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>

#include "../call_checks.hpp"
#include "checks.hpp"

namespace magi::ffa {

const Kernels& kernels_for(int32_t dtype) {
  const Kernels* found = nullptr;
  const Isa isa = active_isa();
  if (isa >= Isa::kAvx512Bf16 && dtype == MAGI_BFLOAT16) found = avx512_bf16_kernels();
  if (found == nullptr && isa >= Isa::kAvx512) found = avx512_kernels();
  if (found == nullptr && isa >= Isa::kAvx2) found = avx2_kernels();
  if (found == nullptr) found = portable_kernels();
  return *found;
}

int threads_for(int32_t requested, const MagiFfaPlan& plan, int64_t visits, int64_t heads, int64_t head_dim) {
  // Waking a thread takes some ten microseconds, in which another one does about this much.
  constexpr double kMinFlopsPerThread = 4e6;
  const double rows = std::min(plan.tile_rows, plan.num_rows);
  const double cols = std::min(plan.tile_cols, plan.num_cols);
  const double flops = 4.0 * static_cast<double>(visits) * rows * cols * static_cast<double>(heads * head_dim);
  const int64_t threads = requested > 0 ? requested : default_num_threads();
  const double worthwhile = std::min(flops / kMinFlopsPerThread, static_cast<double>(kMaxThreads));
  return static_cast<int>(std::clamp<int64_t>(static_cast<int64_t>(worthwhile), 1, std::min<int64_t>(threads, kMaxThreads)));
}

}  // namespace magi::ffa

const char* magi_ffa_isa(void) { return magi::isa_name(magi::active_isa()); }

int32_t magi_ffa_tile_sizes(int32_t head_dim, int32_t dtype, int32_t /*group_size*/, int32_t /*device*/, int32_t /*kernel*/,
                            MagiFfaTileSizes* sizes, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(sizes != nullptr && sizes->struct_size == sizeof(MagiFfaTileSizes), "sizes: expected %zu bytes",
                sizeof(MagiFfaTileSizes));
    magi::ffa::check_head_dim(head_dim);
    magi::ffa::check_dtype(dtype, "dtype");
    sizes->forward_rows = magi::ffa::kForwardRows;
    sizes->backward_rows = magi::ffa::kBackwardRows;
    sizes->forward_cols = sizes->backward_cols = magi::ffa::kTileCols;
    sizes->forward_align_cols = 1;
    sizes->kernel = MAGI_FFA_KERNEL_AUTO;
  });
}
