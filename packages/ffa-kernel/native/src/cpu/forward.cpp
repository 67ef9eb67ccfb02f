// magi_ffa_forward on the CPU: which tiles run in which order, and what is packed for them.
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

Buffers carve(Carver& carver, ForwardJob job, const Kernels& kernels, int num_threads) {
  const MagiFfaForwardArgs& args = job.args;
  carve_operand(carver, kernels, job.slots.kv, args.head_dim, &job.k);
  carve_operand(carver, kernels, job.slots.kv, args.head_dim, &job.v);
  job.tile_max = args.max_logits == nullptr ? nullptr : carver.take<float>(int64_t{args.num_heads_q} * job.plan.num_tiles);
  const int64_t scratch = (kernels.forward_scratch_floats(job) + 15) / 16 * 16;
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

// Tiles of all heads of a run of rows, then of the next: what lies side by side in the tensors is used together.
void add_tiles_by_rows(Pipeline& pipeline, const ForwardJob& job, const Kernels& kernels, const Buffers& buffers) {
  const int64_t heads = job.args.num_heads_q;
  const TileOrder order = order_by_rows(heads * job.plan.num_tiles);
  pipeline.add(heads * job.plan.num_tiles, Pipeline::kNone, [&, heads, order](int64_t item, int thread) {
    kernels.forward_tile(job, buffers.scratch + thread * buffers.scratch_floats, tile_at(job.plan, order, item / heads),
                         static_cast<int>(item % heads));
  });
}

// One key/value head after another is packed, and its tiles run behind.
void add_tiles_by_heads(Pipeline& pipeline, const ForwardJob& job, const Kernels& kernels, const Buffers& buffers) {
  const MagiFfaForwardArgs& args = job.args;
  const int heads_per_group = job.slots.heads_per_group;
  const int64_t chunks = (args.total_k + kPackRows - 1) / kPackRows;
  std::vector<int> packed(static_cast<size_t>(args.num_heads_kv)), done(packed.size());
  overlap_batches(
      args.num_heads_kv,
      [&](int head) {
        const int after = head < kBatchesUnderWay ? Pipeline::kNone : done[static_cast<size_t>(head - kBatchesUnderWay)];
        packed[static_cast<size_t>(head)] = pipeline.add(chunks, after, [&, head](int64_t chunk, int) {
          const int64_t begin = chunk * kPackRows;
          const int64_t end = std::min(begin + kPackRows, (args.total_k + kTileCols - 1) / kTileCols * kTileCols);
          for (const Operand* operand : {&job.k, &job.v}) {
            kernels.pack_operand(*operand, job.slots.of_kv(head), head, args.head_dim, begin, end);
          }
        });
      },
      [&](int head) {
        const auto run = [&, head, heads_per_group](int64_t item, int thread) {
          kernels.forward_tile(job, buffers.scratch + thread * buffers.scratch_floats,
                               tile_at(job.plan, TileOrder::kMostWorkFirst, item / heads_per_group),
                               head * heads_per_group + static_cast<int>(item % heads_per_group));
        };
        done[static_cast<size_t>(head)] =
            pipeline.add(int64_t{heads_per_group} * job.plan.num_tiles, packed[static_cast<size_t>(head)], run);
      });
}

void forward(const MagiFfaForwardArgs& args) {
  check_forward(args);
  const Kernels& kernels = kernels_for(args.dtype);
  ForwardJob job{};
  job.args = args;
  job.plan = *args.plan;
  job.max_run_bands = check_plan(*args.plan, args.total_q, args.total_k, kForwardRows);
  job.dim_units = args.head_dim / kernels.pack;
  job.slots = {std::min(args.num_heads_kv, kBatchesUnderWay), args.num_heads_q / args.num_heads_kv};
  const int64_t visits = count_visits(job.plan);
  const bool packs = is_packing_worth_it(job.plan, visits);
  job.k = make_operand(kernels, args.k, args.total_k, args.num_heads_kv, args.dtype, false, packs);
  job.v = make_operand(kernels, args.v, args.total_k, args.num_heads_kv, args.dtype, true, packs);

  constexpr int64_t kMinBytesToStream = 8 << 20;
  job.streams_out = args.out_dtype == MAGI_FLOAT32 && args.total_q * args.num_heads_q * args.head_dim * 4 >= kMinBytesToStream;
  const int num_threads = threads_for(args.num_threads, job.plan, visits, args.num_heads_q, args.head_dim);
  Carver sizes;
  carve(sizes, job, kernels, num_threads);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads);

  Pipeline pipeline;
  const auto add_tiles = packs ? add_tiles_by_heads : add_tiles_by_rows;
  add_tiles(pipeline, buffers.job, kernels, buffers);
  pipeline.run(num_threads);
  reduce_max_logits(buffers.job);
}

}  // namespace
}  // namespace magi::ffa

int32_t magi_ffa_forward(const MagiFfaForwardArgs* args, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr, "args: expected a pointer");
    magi::ffa::forward(*args);
  });
}
