// magi_ffa_forward on the CPU: packs the keys and values of one head after another and runs the head's tiles behind.
#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"
#include "job.hpp"
#include "layout.hpp"
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

void choose_layout(ForwardJob* job, const Kernels& kernels, int64_t visits) {
  const MagiFfaForwardArgs& args = job->args;
  const int64_t dim = args.head_dim;
  const bool in_place = is_unit_dtype(kernels, args.dtype) && !is_packing_worth_it(job->plan, visits);
  const int64_t stride = int64_t{args.num_heads_kv} * dim;
  job->k = in_place ? rows_in_place(args.k, dim / kernels.pack, stride / kernels.pack, args.total_k)
                    : packed_rows(job->key_rows, dim / kernels.pack, 1);
  job->v = in_place && kernels.pack == 1 ? rows_in_place(args.v, dim, stride, args.total_k)
                                         : packed_rows(job->key_rows, dim, kernels.pack);
}

Buffers carve(Carver& carver, ForwardJob job, const Kernels& kernels, int num_threads, int max_run_bands) {
  const MagiFfaForwardArgs& args = job.args;
  carve_rows(carver, &job.k, job.slots.kv);
  carve_rows(carver, &job.v, job.slots.kv);
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
  job.slots = {std::min(args.num_heads_kv, kBatchesUnderWay), args.num_heads_q / args.num_heads_kv};
  const int64_t visits = count_visits(job.plan);
  choose_layout(&job, kernels, visits);

  const int heads_per_group = args.num_heads_q / args.num_heads_kv;
  const int num_threads = threads_for(args.num_threads, job.plan, visits, args.num_heads_q, args.head_dim);
  Carver sizes;
  carve(sizes, job, kernels, num_threads, max_run_bands);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads, max_run_bands);
  job = buffers.job;

  Pipeline pipeline;
  std::vector<int> packed(static_cast<size_t>(args.num_heads_kv)), done(packed.size());
  const bool packs = job.k.is_packed || job.v.is_packed;
  const int64_t chunks = packs ? (job.key_rows + kPackRows - 1) / kPackRows : 0;
  overlap_batches(
      args.num_heads_kv,
      [&](int head) {
        const int after = head < kBatchesUnderWay ? Pipeline::kNone : done[static_cast<size_t>(head - kBatchesUnderWay)];
        packed[static_cast<size_t>(head)] = pipeline.add(chunks, after, [&, head](int64_t chunk, int) {
          kernels.pack_forward(job, head, chunk * kPackRows, std::min((chunk + 1) * kPackRows, job.key_rows));
        });
      },
      [&](int head) {
        const int64_t count = int64_t{heads_per_group} * job.plan.num_tiles;
        const auto run = [&, head](int64_t item, int thread) {
          kernels.forward_tile(job, buffers.scratch + thread * buffers.scratch_floats, max_run_bands,
                               tile_at(job.plan, item / heads_per_group),
                               head * heads_per_group + static_cast<int>(item % heads_per_group));
        };
        done[static_cast<size_t>(head)] = pipeline.add(count, packed[static_cast<size_t>(head)], run);
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
