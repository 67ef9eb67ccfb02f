// magi_ffa_backward on the CPU: which tiles run in which order, and what is prepared for them.
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
  BackwardJob job;
  float* scratch;
  int64_t scratch_floats;
  int32_t* tiles_claimed;  // [num_heads_kv, num_blocks]: how many tiles that visit a block have been claimed
  int32_t* ranks;          // [num_threads, num_blocks]
};

Buffers carve(Carver& carver, BackwardJob job, const Kernels& kernels, int num_threads) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t slots = int64_t{job.slots.kv} * job.slots.heads_per_group;
  carve_operand(carver, kernels, slots, args.head_dim, &job.q);
  carve_operand(carver, kernels, slots, args.head_dim, &job.grad_out);
  if (kernels.pack > 1) {
    carve_operand(carver, kernels, slots, args.head_dim, &job.q_pairs);
    carve_operand(carver, kernels, slots, args.head_dim, &job.grad_out_pairs);
  }
  job.lse2 = carver.take<float>(args.num_heads_q * job.query_rows);
  job.delta = carver.take<float>(args.num_heads_q * job.query_rows);
  job.grad_q = carver.take<float>(slots * job.query_rows * job.dim_padded);
  job.blocks_done = carver.take<int32_t>(int64_t{args.num_heads_q} * job.num_blocks);
  job.block_visits = carver.take<int32_t>(job.num_blocks);
  const int64_t scratch = (kernels.backward_scratch_floats(job) + 15) / 16 * 16;
  float* scratch_at = carver.take<float>(scratch * num_threads);
  int32_t* tiles_claimed = carver.take<int32_t>(int64_t{args.num_heads_kv} * job.num_blocks);
  return {job, scratch_at, scratch, tiles_claimed, carver.take<int32_t>(int64_t{num_threads} * job.num_blocks)};
}

// Ranks are given out when a tile is claimed: its turn at a block is the number of tiles claimed before it that visit the block.
template <typename Visit>
void visit_blocks(const MagiFfaPlan& plan, int tile, Visit&& visit) {
  if (plan.tile_runs == nullptr) {
    int64_t begin, end;
    if (!dense_hull(plan, tile, &begin, &end)) return;
    for (int64_t col = begin; col < end; col += kTileCols) visit(col / kTileCols);
    return;
  }
  for (int32_t i = plan.tile_runs[tile]; i < plan.tile_runs[tile + 1]; ++i) {
    const int32_t* run = plan.runs + 4 * int64_t{i};
    for (int32_t j = 0; j < run[1]; ++j) visit(run[0] / kTileCols + j);
  }
}

// grad_sink: -sum over rows of exp(sink - lse) * delta; without the sum for SSH.
void sink_grads(const BackwardJob& job, int num_threads) {
  const MagiFfaBackwardArgs& args = job.args;
  if (args.grad_sink == nullptr) return;
  const int64_t heads = args.num_heads_q;
  const bool shared = args.sink_layout == MAGI_FFA_SINK_SH;
  parallel_for(num_threads, heads, 1, [&](int64_t head, int64_t) {
    double sums[8] = {};
    for (int64_t row = 0; row < args.total_q; ++row) {
      const double lse = args.lse[row * heads + head];
      const double delta = job.delta[head * job.query_rows + row];
      for (int32_t t = 0; t < args.sink_tokens; ++t) {
        const int64_t at = (shared ? 0 : row * args.sink_tokens * heads) + t * heads + head;
        const double grad = lse == -INFINITY ? 0.0 : -std::exp(args.sink[at] - lse) * delta;
        if (shared) {
          sums[t] += grad;
        } else {
          args.grad_sink[at] = static_cast<float>(grad);
        }
      }
    }
    if (!shared) return;
    for (int32_t t = 0; t < args.sink_tokens; ++t) args.grad_sink[t * heads + head] = static_cast<float>(sums[t]);
  });
}

void clear_counters(const Buffers& buffers) {
  const BackwardJob& job = buffers.job;
  std::fill_n(job.blocks_done, int64_t{job.args.num_heads_q} * job.num_blocks, 0);
  std::fill_n(job.block_visits, job.num_blocks, 0);
  std::fill_n(buffers.tiles_claimed, int64_t{job.args.num_heads_kv} * job.num_blocks, 0);
  for (int tile = 0; tile < job.plan.num_tiles; ++tile) {
    visit_blocks(job.plan, tile, [&](int64_t block) { ++job.block_visits[block]; });
  }
}

// Adds the phases: queries are prepared; then, one batch of `abreast` key/value heads after another, operands are packed, where
// that is worth it, and the tiles run.
void add_phases(Pipeline& pipeline, const Buffers& buffers, const Kernels& kernels, int abreast, TileOrder order) {
  const BackwardJob& job = buffers.job;
  const MagiFfaBackwardArgs& args = job.args;
  const int heads_per_group = job.slots.heads_per_group;
  const int64_t chunks = (job.query_rows + kPackRows - 1) / kPackRows;
  const int prepared = pipeline.add(chunks, Pipeline::kNone, [&](int64_t chunk, int) {
    kernels.prepare_queries(job, chunk * kPackRows, std::min((chunk + 1) * kPackRows, job.query_rows));
  });

  const int num_batches = (args.num_heads_kv + abreast - 1) / abreast;
  std::vector<int> packed(static_cast<size_t>(num_batches)), done(packed.size());
  const auto heads_of = [&args, abreast](int batch) { return std::min(abreast, args.num_heads_kv - batch * abreast); };
  overlap_batches(
      num_batches,
      [&](int batch) {
        const int first = batch * abreast * heads_per_group;
        const int after = batch < kBatchesUnderWay ? prepared : done[static_cast<size_t>(batch - kBatchesUnderWay)];
        const int64_t items = chunks * heads_of(batch) * heads_per_group;
        packed[static_cast<size_t>(batch)] = pipeline.add(items, after, [&, first, chunks](int64_t item, int) {
          const int head = first + static_cast<int>(item / chunks);
          const int64_t begin = item % chunks * kPackRows;
          const int64_t end = std::min(begin + kPackRows, job.query_rows);
          for (const Operand* operand : {&job.q, &job.grad_out, &job.q_pairs, &job.grad_out_pairs}) {
            if (operand->packed == nullptr) continue;
            kernels.pack_operand(*operand, job.slots.of_query(head), head, args.head_dim, begin, end);
          }
        });
      },
      [&](int batch) {
        const int first = batch * abreast;
        const int heads = heads_of(batch);
        const auto run = [&, first, heads, order](int64_t item, int thread) {
          kernels.backward_tile(job, buffers.scratch + thread * buffers.scratch_floats,
                                tile_at(job.plan, order, item / heads), first + static_cast<int>(item % heads),
                                buffers.ranks + int64_t{thread} * job.num_blocks);
        };
        const auto on_claim = [&, first, heads, order](int64_t item, int thread) {
          int32_t* claimed = buffers.tiles_claimed + (first + item % heads) * job.num_blocks;
          int32_t* ranks = buffers.ranks + int64_t{thread} * job.num_blocks;
          visit_blocks(job.plan, tile_at(job.plan, order, item / heads), [&](int64_t block) { ranks[block] = claimed[block]++; });
        };
        done[static_cast<size_t>(batch)] =
            pipeline.add(int64_t{job.plan.num_tiles} * heads, packed[static_cast<size_t>(batch)], run, on_claim);
      });
}

void backward(const MagiFfaBackwardArgs& args) {
  check_backward(args);
  const Kernels& kernels = kernels_for(args.dtype);
  const int lanes = kernels.group / kGroupVectors;
  BackwardJob job{};
  job.args = args;
  job.plan = *args.plan;
  job.max_run_bands = check_plan(*args.plan, args.total_k, args.total_q, kBackwardRows);
  job.query_rows = (args.total_q + kTileCols - 1) / kTileCols * kTileCols;
  job.dim_units = args.head_dim / kernels.pack;
  job.dim_padded = (args.head_dim + lanes - 1) / lanes * lanes;
  job.num_blocks = static_cast<int32_t>(job.query_rows / kTileCols);

  const int64_t visits = count_visits(job.plan);
  const bool packs = is_packing_worth_it(job.plan, visits);
  const auto operand = [&](const void* tensor, bool along_rows) {
    return make_operand(kernels, tensor, args.total_q, args.num_heads_q, args.dtype, along_rows, packs);
  };
  job.q = operand(args.q, false);
  job.grad_out = operand(args.grad_out, false);
  job.q_pairs = operand(args.q, true);
  job.grad_out_pairs = operand(args.grad_out, true);

  // Tiles of one head take turns at grad_q, so where a head has few tiles several go side by side; and all of them, for the
  // sake of locality, where the tensors are read in place.
  const int num_threads = threads_for(args.num_threads, job.plan, visits, args.num_heads_q, args.head_dim);
  const int few = std::clamp(4 * num_threads / std::max(job.plan.num_tiles, 1), 1, args.num_heads_kv);
  const int abreast = packs ? few : args.num_heads_kv;
  job.slots = {std::min(args.num_heads_kv, kBatchesUnderWay * abreast), args.num_heads_q / args.num_heads_kv};

  Carver sizes;
  carve(sizes, job, kernels, num_threads);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads);
  clear_counters(buffers);
  Pipeline pipeline;
  const TileOrder order =
      packs ? TileOrder::kMostWorkFirst : order_by_rows(int64_t{args.num_heads_kv} * job.plan.num_tiles);
  add_phases(pipeline, buffers, kernels, abreast, order);
  pipeline.run(num_threads);
  sink_grads(buffers.job, num_threads);
}

}  // namespace
}  // namespace magi::ffa

int32_t magi_ffa_backward(const MagiFfaBackwardArgs* args, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr, "args: expected a pointer");
    magi::ffa::backward(*args);
  });
}
