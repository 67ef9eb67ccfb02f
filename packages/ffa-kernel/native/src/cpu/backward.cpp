// magi_ffa_backward on the CPU: packs the operands of a few heads, runs their tiles behind, and finishes their grad_q last.
#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backend.hpp"
#include "checks.hpp"
#include "job.hpp"
#include "layout.hpp"
#include "pipeline.hpp"
#include "workspace.hpp"

namespace magi::ffa {
namespace {

constexpr int64_t kPackRows = 192;  // a multiple of every group

struct Buffers {
  BackwardJob job;
  float* scratch;
  int64_t scratch_floats;
  int32_t* tiles_claimed;  // [num_heads_kv, num_blocks]: how many tiles that visit a block have been claimed
  int32_t* ranks;          // [num_threads, num_blocks]
};

void choose_layout(BackwardJob* job, const Kernels& kernels, int64_t visits) {
  const MagiFfaBackwardArgs& args = job->args;
  const int64_t dim = args.head_dim;
  const bool has_units = is_unit_dtype(kernels, args.dtype);
  const int64_t q_stride = int64_t{args.num_heads_q} * dim;
  const auto query_rows = [&](const void* tensor) {
    return has_units && !is_packing_worth_it(job->plan, visits)
               ? rows_in_place(tensor, dim / kernels.pack, q_stride / kernels.pack, args.total_q)
               : packed_rows(job->query_rows, dim / kernels.pack, 1);
  };
  job->q = query_rows(args.q);
  job->grad_out = query_rows(args.grad_out);
  if (kernels.pack > 1) job->q_pairs = job->grad_out_pairs = packed_rows(job->query_rows, dim, kernels.pack);
  const bool keys_in_place = has_units && kernels.pack == 1 && job->dim_padded == dim;
  job->k_pairs = keys_in_place ? rows_in_place(args.k, dim, args.num_heads_kv * dim, args.total_k)
                               : packed_rows(job->key_rows, job->dim_padded, kernels.pack);
}

Buffers carve(Carver& carver, BackwardJob job, const Kernels& kernels, int num_threads, int max_run_bands) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t kv_slots = job.slots.kv;
  const int64_t query_slots = kv_slots * job.slots.heads_per_group;
  carve_rows(carver, &job.q, query_slots);
  carve_rows(carver, &job.grad_out, query_slots);
  if (kernels.pack > 1) {
    carve_rows(carver, &job.q_pairs, query_slots);
    carve_rows(carver, &job.grad_out_pairs, query_slots);
  } else {
    job.q_pairs = job.q;
    job.grad_out_pairs = job.grad_out;
  }
  carve_rows(carver, &job.k_pairs, kv_slots);
  job.k_transposed = carver.take<float>(kv_slots * job.key_rows * job.dim_units);
  job.v_transposed = carver.take<float>(kv_slots * job.key_rows * job.dim_units);
  job.lse2 = carver.take<float>(args.num_heads_q * job.query_rows);
  job.delta = carver.take<float>(args.num_heads_q * job.query_rows);
  job.grad_q = carver.take<float>(query_slots * job.query_rows * job.dim_padded);
  job.blocks_done = carver.take<int32_t>(int64_t{args.num_heads_q} * job.num_blocks);
  const int64_t scratch = (kernels.backward_scratch_floats(job, max_run_bands) + 15) / 16 * 16;
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

void backward(const MagiFfaBackwardArgs& args) {
  check_backward(args);
  const int max_run_bands = check_plan(*args.plan, args.total_k, args.total_q, kBackwardRows);
  const Kernels& kernels = kernels_for(args.dtype);
  const int lanes = kernels.group / kGroupVectors;
  BackwardJob job{};
  job.args = args;
  job.plan = *args.plan;
  job.query_rows = (args.total_q + kTileCols - 1) / kTileCols * kTileCols;
  job.key_rows = (args.total_k + kBackwardRows - 1) / kBackwardRows * kBackwardRows;
  job.dim_units = args.head_dim / kernels.pack;
  job.dim_padded = (args.head_dim + lanes - 1) / lanes * lanes;
  job.num_blocks = static_cast<int32_t>(job.query_rows / kTileCols);

  const int64_t visits = count_visits(job.plan);
  const int num_threads = threads_for(args.num_threads, job.plan, visits, args.num_heads_q, args.head_dim);
  // Tiles of one head take turns at grad_q. Where a head has few tiles, several heads go side by side.
  const int abreast = std::clamp(4 * num_threads / std::max(job.plan.num_tiles, 1), 1, args.num_heads_kv);
  job.slots = {std::min(args.num_heads_kv, kBatchesUnderWay * abreast), args.num_heads_q / args.num_heads_kv};
  choose_layout(&job, kernels, visits);
  Carver sizes;
  carve(sizes, job, kernels, num_threads, max_run_bands);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads, max_run_bands);
  job = buffers.job;
  std::memset(job.blocks_done, 0, sizeof(int32_t) * static_cast<size_t>(args.num_heads_q) * job.num_blocks);
  std::memset(buffers.tiles_claimed, 0, sizeof(int32_t) * static_cast<size_t>(args.num_heads_kv) * job.num_blocks);

  const int num_tiles = job.plan.num_tiles;
  const int heads_per_group = job.slots.heads_per_group;
  const int64_t query_chunks = (job.query_rows + kPackRows - 1) / kPackRows;
  const int64_t key_chunks = (job.key_rows + kPackRows - 1) / kPackRows;
  const int num_batches = (args.num_heads_kv + abreast - 1) / abreast;
  const auto for_queries = [&](const auto& function, int first_head, int64_t item) {
    const int head = first_head * heads_per_group + static_cast<int>(item / query_chunks);
    const int64_t row = item % query_chunks * kPackRows;
    function(job, head, row, std::min(row + kPackRows, job.query_rows));
  };

  Pipeline pipeline;
  std::vector<int> packed(static_cast<size_t>(num_batches)), done(packed.size());
  overlap_batches(
      num_batches,
      [&](int batch) {
        const int first = batch * abreast;
        const int heads = std::min(abreast, args.num_heads_kv - first);
        const int64_t query_items = query_chunks * heads * heads_per_group;
        const int after = batch < kBatchesUnderWay ? Pipeline::kNone : done[static_cast<size_t>(batch - kBatchesUnderWay)];
        packed[static_cast<size_t>(batch)] =
            pipeline.add(query_items + key_chunks * heads, after, [&, first, query_items](int64_t item, int) {
              if (item < query_items) return for_queries(kernels.pack_queries, first, item);
              const int64_t row = (item - query_items) % key_chunks * kPackRows;
              kernels.pack_keys(job, first + static_cast<int>((item - query_items) / key_chunks), row,
                                std::min(row + kPackRows, job.key_rows));
            });
      },
      [&](int batch) {
        const int first = batch * abreast;
        const int heads = std::min(abreast, args.num_heads_kv - first);
        const int tiles = pipeline.add(
            int64_t{num_tiles} * heads, packed[static_cast<size_t>(batch)],
            [&, first, heads](int64_t item, int thread) {
              kernels.backward_tile(job, buffers.scratch + thread * buffers.scratch_floats, max_run_bands,
                                    tile_at(job.plan, item / heads), first + static_cast<int>(item % heads),
                                    buffers.ranks + int64_t{thread} * job.num_blocks);
            },
            [&, first, heads](int64_t item, int thread) {
              int32_t* claimed = buffers.tiles_claimed + (first + item % heads) * job.num_blocks;
              int32_t* ranks = buffers.ranks + int64_t{thread} * job.num_blocks;
              visit_blocks(job.plan, tile_at(job.plan, item / heads), [&](int64_t block) { ranks[block] = claimed[block]++; });
            });
        done[static_cast<size_t>(batch)] =
            pipeline.add(query_chunks * heads * heads_per_group, tiles,
                         [&, first](int64_t item, int) { for_queries(kernels.finish_queries, first, item); });
      });
  pipeline.run(num_threads);
  sink_grads(job, num_threads);
}

}  // namespace
}  // namespace magi::ffa

int32_t magi_ffa_backward(const MagiFfaBackwardArgs* args, char* message, int32_t message_size) {
  return magi::guarded(message, message_size, [&] {
    magi::check(args != nullptr, "args: expected a pointer");
    magi::ffa::backward(*args);
  });
}
