// magi_ffa_forward on the CPU: packs the keys and values of one head after another and runs the head's tiles behind.
#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"
#include "job.hpp"
#include "pipeline.hpp"
#include "workspace.hpp"

namespace magi::ffa {
namespace {

constexpr int64_t kPackRows = 256;  // a multiple of kTileCols

struct Buffers {
  ForwardJob job;
  float* scratch;
  int64_t scratch_floats;
};

// Where a key is shared by fewer tiles than this, copying it costs more than its scattered rows do.
constexpr int64_t kMinVisitsToPack = 12;

bool is_packing_worth_it(const MagiFfaPlan& plan) {
  int64_t visits = 0;
  for (int tile = 0; tile < plan.num_tiles; ++tile) {
    int64_t begin = 0, end = 0;
    if (plan.tile_runs == nullptr) {
      if (dense_hull(plan, tile, &begin, &end)) visits += (end - begin + kTileCols - 1) / kTileCols;
    } else {
      for (int32_t i = plan.tile_runs[tile]; i < plan.tile_runs[tile + 1]; ++i) visits += plan.runs[4 * int64_t{i} + 1];
    }
  }
  return visits >= kMinVisitsToPack * ((plan.num_cols + kTileCols - 1) / kTileCols);
}

void choose_layout(ForwardJob* job, const Kernels& kernels) {
  const MagiFfaForwardArgs& args = job->args;
  const int64_t dim = args.head_dim;
  // Fewer keys than a panel cannot be read in place.
  const bool in_place = !is_packing_worth_it(job->plan) && args.total_k >= kPanel;
  const bool has_units = args.dtype == (kernels.pack == 2 ? MAGI_BFLOAT16 : MAGI_FLOAT32);
  job->k_is_packed = !(in_place && has_units);
  job->v_is_packed = !(in_place && has_units && kernels.pack == 1);
  job->k = static_cast<const float*>(args.k);
  job->v = static_cast<const float*>(args.v);
  job->k_head = job->k_is_packed ? job->key_rows * job->dim_units : job->dim_units;
  job->k_row = job->k_is_packed ? job->dim_units : int64_t{args.num_heads_kv} * job->dim_units;
  job->v_head = job->v_is_packed ? job->key_rows / kernels.pack * dim : dim;
  job->v_row = job->v_is_packed ? dim : args.num_heads_kv * dim;
}

Buffers carve(Carver& carver, ForwardJob job, const Kernels& kernels, int num_threads, int max_run_bands) {
  const MagiFfaForwardArgs& args = job.args;
  if (job.k_is_packed) job.k = carver.take<float>(args.num_heads_kv * job.k_head);
  if (job.v_is_packed) job.v = carver.take<float>(args.num_heads_kv * job.v_head);
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
  const int max_run_bands = check_plan(*args.plan, args.total_q, args.total_k, kForwardRows);
  const Kernels& kernels = kernels_for(args.dtype);
  ForwardJob job{};
  job.args = args;
  job.plan = *args.plan;
  job.key_rows = (args.total_k + kTileCols - 1) / kTileCols * kTileCols;
  job.dim_units = args.head_dim / kernels.pack;
  choose_layout(&job, kernels);

  const int heads_per_group = args.num_heads_q / args.num_heads_kv;
  const int num_threads = threads_for(args.num_threads, int64_t{args.num_heads_q} * job.plan.num_tiles);
  Carver sizes;
  carve(sizes, job, kernels, num_threads, max_run_bands);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads, max_run_bands);
  job = buffers.job;

  Pipeline pipeline;
  std::vector<int> packed(static_cast<size_t>(args.num_heads_kv));
  const bool packs = job.k_is_packed || job.v_is_packed;
  const int64_t chunks = packs ? (job.key_rows + kPackRows - 1) / kPackRows : 0;
  overlap_batches(
      args.num_heads_kv,
      [&](int head) {
        packed[static_cast<size_t>(head)] = pipeline.add(chunks, Pipeline::kNone, [&, head](int64_t chunk, int) {
          kernels.pack_forward(job, head, chunk * kPackRows, std::min((chunk + 1) * kPackRows, job.key_rows));
        });
      },
      [&](int head) {
        const int64_t count = int64_t{heads_per_group} * job.plan.num_tiles;
        pipeline.add(count, packed[static_cast<size_t>(head)], [&, head](int64_t item, int thread) {
          kernels.forward_tile(job, buffers.scratch + thread * buffers.scratch_floats, max_run_bands,
                               tile_at(job.plan, item / heads_per_group),
                               head * heads_per_group + static_cast<int>(item % heads_per_group));
        });
      });
  pipeline.run(num_threads);
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
