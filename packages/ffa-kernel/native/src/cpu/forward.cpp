// magi_ffa_forward on the CPU: packs keys and values, then hands out (tile, head) pairs to threads.
#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "backend.hpp"
#include "checks.hpp"
#include "job.hpp"
#include "workspace.hpp"

namespace magi::ffa {
namespace {

constexpr int64_t kPackRows = 256;  // a multiple of kTileCols

struct Buffers {
  ForwardJob job;
  float* scratch;
  int64_t scratch_floats;
};

Buffers carve(Carver& carver, ForwardJob job, const Kernels& kernels, int num_threads, int max_run_bands) {
  const MagiFfaForwardArgs& args = job.args;
  const int64_t rows = args.num_heads_kv * job.key_rows;
  job.k = carver.take<float>(rows * job.dim_units);
  job.v = carver.take<float>(rows / kernels.pack * args.head_dim);
  job.tile_max = args.max_logits == nullptr ? nullptr : carver.take<float>(int64_t{args.num_heads_q} * job.plan.num_tiles);
  const int64_t scratch = (kernels.forward_scratch_floats(job, max_run_bands) + 15) / 16 * 16;
  return {job, carver.take<float>(scratch * num_threads), scratch};
}

void reduce_max_logits(const ForwardJob& job) {
  if (job.args.max_logits == nullptr) return;
  for (int head = 0; head < job.args.num_heads_q; ++head) {
    float max = -INFINITY;
    for (int tile = 0; tile < job.plan.num_tiles; ++tile) {
      max = std::max(max, job.tile_max[int64_t{head} * job.plan.num_tiles + tile]);
    }
    job.args.max_logits[head] = max;
  }
}

void forward(const MagiFfaForwardArgs& args) {
  check_forward(args);
  const int max_run_bands = check_plan(*args.plan, args.total_q, args.total_k);
  const Kernels& kernels = kernels_for(args.dtype);
  ForwardJob job{args, *args.plan, (args.total_k + kTileCols - 1) / kTileCols * kTileCols, args.head_dim / kernels.pack,
                 nullptr, nullptr, nullptr};

  const int64_t heads_per_group = args.num_heads_q / args.num_heads_kv;
  const int64_t num_items = int64_t{args.num_heads_q} * job.plan.num_tiles;
  const int num_threads = threads_for(args.num_threads, num_items);
  Carver sizes;
  carve(sizes, job, kernels, num_threads, max_run_bands);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads, max_run_bands);
  job = buffers.job;

  const int64_t packs_per_head = (job.key_rows + kPackRows - 1) / kPackRows;
  parallel_for(num_threads, packs_per_head * args.num_heads_kv, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i % packs_per_head * kPackRows;
      kernels.pack_forward(job, static_cast<int>(i / packs_per_head), row, std::min(row + kPackRows, job.key_rows));
    }
  });

  // One key/value head after another, so that what its tiles share stays in the caches; within it most work first.
  std::atomic<int64_t> next{0};
  const int64_t items_per_kv_head = heads_per_group * job.plan.num_tiles;
  parallel_run(num_threads, [&](int thread, int) {
    float* scratch = buffers.scratch + thread * buffers.scratch_floats;
    for (int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < num_items;) {
      const int64_t in_head = item % items_per_kv_head;
      const int64_t head = item / items_per_kv_head * heads_per_group + in_head % heads_per_group;
      kernels.forward_tile(job, scratch, max_run_bands, tile_at(job.plan, in_head / heads_per_group),
                           static_cast<int>(head));
    }
  });
  reduce_max_logits(job);
}

}  // namespace
}  // namespace magi::ffa

int32_t magi_ffa_forward(const MagiFfaForwardArgs* args, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr, "args: expected a pointer");
    magi::ffa::forward(*args);
  });
}
