// magi_ffa_backward on the CPU: packs all operands, then hands out (tile of keys, key/value head) pairs to threads.
#include <magi/parallel.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "backend.hpp"
#include "checks.hpp"
#include "job.hpp"
#include "workspace.hpp"

namespace magi::ffa {
namespace {

constexpr int64_t kPackRows = 192;  // a multiple of kTileCols and of every group

struct Buffers {
  BackwardJob job;
  float* scratch;
  int64_t scratch_floats;
  int32_t* tiles_started;  // [num_heads_kv, num_blocks]: how many tiles that visit a block have been handed out
  int32_t* ranks;          // [num_threads, num_blocks]
};

Buffers carve(Carver& carver, BackwardJob job, const Kernels& kernels, int num_threads, int max_run_bands) {
  const MagiFfaBackwardArgs& args = job.args;
  const int64_t queries = args.num_heads_q * job.query_rows;
  const int64_t keys = args.num_heads_kv * job.key_rows;
  job.q = carver.take<float>(queries * job.dim_units);
  job.grad_out = carver.take<float>(queries * job.dim_units);
  const bool has_pairs = kernels.pack > 1;
  job.q_pairs = has_pairs ? carver.take<float>(queries / kernels.pack * args.head_dim) : job.q;
  job.grad_out_pairs = has_pairs ? carver.take<float>(queries / kernels.pack * args.head_dim) : job.grad_out;
  job.k_transposed = carver.take<float>(keys * job.dim_units);
  job.v_transposed = carver.take<float>(keys * job.dim_units);
  job.k_pairs = carver.take<float>(keys / kernels.pack * job.dim_padded);
  job.lse2 = carver.take<float>(queries);
  job.delta = carver.take<float>(queries);
  job.grad_q = carver.take<float>(queries * job.dim_padded);
  job.blocks_done = carver.take<int32_t>(int64_t{args.num_heads_q} * job.num_blocks);
  const int64_t scratch = (kernels.backward_scratch_floats(job, max_run_bands) + 15) / 16 * 16;
  float* scratch_at = carver.take<float>(scratch * num_threads);
  int32_t* tiles_started = carver.take<int32_t>(int64_t{args.num_heads_kv} * job.num_blocks);
  return {job, scratch_at, scratch, tiles_started, carver.take<int32_t>(int64_t{num_threads} * job.num_blocks)};
}

template <typename Pack>
void for_row_chunks(int num_threads, int heads, int64_t rows, Pack&& pack) {
  const int64_t chunks = (rows + kPackRows - 1) / kPackRows;
  parallel_for(num_threads, chunks * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i % chunks * kPackRows;
      pack(static_cast<int>(i / chunks), row, std::min(row + kPackRows, rows));
    }
  });
}

// Hands out tiles in the plan's order and writes each one's rank for every block that it visits. Heads go side by side, as many
// as there are threads, so that threads seldom wait for each other; the ranks of a block do not depend on that.
class TileQueue {
 public:
  TileQueue(const BackwardJob& job, int32_t* tiles_started, int num_threads)
      : job_(job), tiles_started_(tiles_started), num_items_(int64_t{job.args.num_heads_kv} * job.plan.num_tiles),
        heads_abreast_(std::min(job.args.num_heads_kv, num_threads)) {}

  // False when there are no more.
  bool next(int* tile, int* head, int32_t* ranks) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (next_ >= num_items_) return false;
    const int64_t per_batch = int64_t{heads_abreast_} * job_.plan.num_tiles;
    const int first_head = static_cast<int>(next_ / per_batch) * heads_abreast_;
    const int abreast = std::min(heads_abreast_, job_.args.num_heads_kv - first_head);
    const int64_t in_batch = next_ % per_batch;
    *tile = tile_at(job_.plan, in_batch / abreast);
    *head = first_head + static_cast<int>(in_batch % abreast);
    ++next_;
    int32_t* started = tiles_started_ + int64_t{*head} * job_.num_blocks;
    visit_blocks(*tile, [&](int64_t block) { ranks[block] = started[block]++; });
    return true;
  }

 private:
  template <typename Visit>
  void visit_blocks(int tile, Visit&& visit) const {
    const MagiFfaPlan& plan = job_.plan;
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

  const BackwardJob& job_;
  int32_t* tiles_started_;
  int64_t num_items_;
  int heads_abreast_;
  std::mutex mutex_;
  int64_t next_ = 0;
};

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
  const int max_run_bands = check_plan(*args.plan, args.total_k, args.total_q);
  const Kernels& kernels = kernels_for(args.dtype);
  const int lanes = kernels.group / kGroupVectors;
  BackwardJob job{};
  job.args = args;
  job.plan = *args.plan;
  job.query_rows = (args.total_q + kTileCols - 1) / kTileCols * kTileCols;
  job.key_rows = (args.total_k + kTileRows - 1) / kTileRows * kTileRows;
  job.dim_units = args.head_dim / kernels.pack;
  job.dim_padded = (args.head_dim + lanes - 1) / lanes * lanes;
  job.num_blocks = static_cast<int32_t>(job.query_rows / kTileCols);

  const int num_threads = threads_for(args.num_threads, std::max<int64_t>(int64_t{args.num_heads_kv} * job.plan.num_tiles,
                                                                          int64_t{args.num_heads_q} * job.num_blocks / 4));
  Carver sizes;
  carve(sizes, job, kernels, num_threads, max_run_bands);
  const Workspace workspace(sizes.used());
  Carver places(workspace.data());
  const Buffers buffers = carve(places, job, kernels, num_threads, max_run_bands);
  job = buffers.job;
  std::memset(job.blocks_done, 0, sizeof(int32_t) * static_cast<size_t>(args.num_heads_q) * job.num_blocks);
  std::memset(buffers.tiles_started, 0, sizeof(int32_t) * static_cast<size_t>(args.num_heads_kv) * job.num_blocks);

  for_row_chunks(num_threads, args.num_heads_q, job.query_rows,
                 [&](int head, int64_t begin, int64_t end) { kernels.pack_queries(job, head, begin, end); });
  for_row_chunks(num_threads, args.num_heads_kv, job.key_rows,
                 [&](int head, int64_t begin, int64_t end) { kernels.pack_keys(job, head, begin, end); });

  TileQueue queue(job, buffers.tiles_started, num_threads);
  parallel_run(num_threads, [&](int thread, int) {
    float* scratch = buffers.scratch + thread * buffers.scratch_floats;
    int32_t* ranks = buffers.ranks + int64_t{thread} * job.num_blocks;
    for (int tile, head; queue.next(&tile, &head, ranks);) {
      kernels.backward_tile(job, scratch, max_run_bands, tile, head, ranks);
    }
  });

  for_row_chunks(num_threads, args.num_heads_q, job.query_rows,
                 [&](int head, int64_t begin, int64_t end) { kernels.finish_queries(job, head, begin, end); });
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
