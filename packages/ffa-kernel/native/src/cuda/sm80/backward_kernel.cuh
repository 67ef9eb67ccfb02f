// Gradients of one tile of keys: passes over the queries that see it. With S = Q K^T, P = exp(S - lse) and dP = dO V^T,
//
//     dV = P^T dO      dS = P (dP - delta)      dK = scale dS^T Q      dQ = scale dS K
//
// A warp has 16 keys and computes S^T and dP^T for them, whose registers then are the first operand of the products for dV and
// dK. Only dS goes through shared memory, for dQ, which all tiles of keys add up in global memory.
#ifndef MAGI_FFA_SM80_BACKWARD_KERNEL_CUH
#define MAGI_FFA_SM80_BACKWARD_KERNEL_CUH

#include "../common/column_mask.cuh"
#include "../common/fixed_point.cuh"
#include "../common/numeric.cuh"
#include "backward.hpp"
#include "backward_products.cuh"
#include "query_rows.cuh"
#include "shapes.hpp"
#include "shared_tile.cuh"

namespace magi::ffa::sm80 {

// A tile of queries in shared memory, with what backward needs beside.
template <int kCols, int kDim>
struct QueryStage {
  SharedTile<kCols, kDim> q;
  SharedTile<kCols, kDim> grad_out;
  uint32_t lse2;  // addresses of [kCols]
  uint32_t delta;
};

__device__ __forceinline__ void add_fixed(int64_t* place, float value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(place), static_cast<unsigned long long>(__float2ll_rn(value)));
}

// This warp's part of dQ of a tile of queries: 16 rows, and kBlocks * 8 columns from chunk0 on.
template <typename Element, int kBlocks, typename ScoreTile, typename KeyTile>
__device__ __forceinline__ void add_query_grads(const BackwardLaunch& launch, const ScoreTile& grad_scores, const KeyTile& keys,
                                                const QueryRows& rows, int row0, int chunk0, int lane) {
  float grads[kBlocks][4];
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) grads[n][0] = grads[n][1] = grads[n][2] = grads[n][3] = 0.0f;
#pragma unroll
  for (int step = 0; step < KeyTile::kRows / 16; ++step) {
    uint32_t a[4];
    grad_scores.load_a_transposed(a, 16 * step, row0 / 8, lane);
#pragma unroll
    for (int n = 0; n < kBlocks / 2; ++n) {
      uint32_t b[4];
      keys.load_b_transposed(b, 16 * step, chunk0 + 2 * n, lane);
      mma<Element>(grads[2 * n], a, b[0], b[1]);
      mma<Element>(grads[2 * n + 1], a, b[2], b[3]);
    }
  }
  const BackwardParams& params = launch.params;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = row0 + lane / 4 + 8 * h;
    if (!rows.exists(row)) continue;
    const int64_t begin = (static_cast<int64_t>(rows.token(row)) * params.num_heads_q + rows.head(row)) * params.head_dim;
    float factor = params.softmax_scale;
    if (params.deterministic) {
      const int exponent =
          fixed_exponent(launch.statistics.grad_norm[rows.packed_index(row)], params.softmax_scale, launch.query_grads.maxima);
      factor *= power_of_two(exponent);
    }
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
      const int d = 8 * (chunk0 + n) + 2 * (lane % 4);
      if (d >= params.head_dim) continue;
      const float x = grads[n][2 * h] * factor, y = grads[n][2 * h + 1] * factor;
      if (params.deterministic) {
        add_fixed(launch.query_grads.fixed_sums + begin + d, x);
        add_fixed(launch.query_grads.fixed_sums + begin + d + 1, y);
      } else {
        add_pair(launch.query_grads.sums + begin + d, x, y);
      }
    }
  }
}

// Writes 16 rows of dK or dV.
template <typename Element, int kBlocks>
__device__ __forceinline__ void store_key_grads(const float (&grads)[kBlocks][4], void* tensor, float factor,
                                                const BackwardParams& params, int key0, int kv_head, int chunk0, int lane) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int key = key0 + lane / 4 + 8 * h;
    if (key >= params.total_k) continue;
    const int64_t begin = (static_cast<int64_t>(key) * params.num_heads_kv + kv_head) * params.head_dim;
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
      const int d = 8 * (chunk0 + n) + 2 * (lane % 4);
      if (d >= params.head_dim) continue;
      const float x = grads[n][2 * h] * factor, y = grads[n][2 * h + 1] * factor;
      if (params.grad_dtype == MAGI_FLOAT32) {
        *reinterpret_cast<float2*>(static_cast<float*>(tensor) + begin + d) = {x, y};
      } else {
        *reinterpret_cast<uint32_t*>(static_cast<Element*>(tensor) + begin + d) = pack_pair<Element>(x, y);
      }
    }
  }
}

template <typename Element, int kDim>
__global__ __launch_bounds__(BackwardShape<kDim>::kThreads, 1) void backward_kernel(
    const __grid_constant__ BackwardLaunch launch) {
  using Shape = BackwardShape<kDim>;
  constexpr int kRows = Shape::kRows, kCols = Shape::kCols, kBlocks = kCols / 8, kPartBlocks = Shape::kPartDim / 8;
  const BackwardParams& params = launch.params;
  const PlanView& plan = params.plan;
  __shared__ TileRuns runs;
  const SharedTile<kRows, kDim> keys{smem_address(dynamic_shared())};
  const SharedTile<kRows, kDim> values{keys.base + keys.kBytes};
  const SharedTile<kRows, kCols> grad_scores{values.base + values.kBytes};
  const auto stage_at = [&](int index) {
    QueryStage<kCols, kDim> stage;
    stage.q.base = grad_scores.base + grad_scores.kBytes + index * Shape::kStageBytes;
    stage.grad_out.base = stage.q.base + stage.q.kBytes;
    stage.lse2 = stage.grad_out.base + stage.grad_out.kBytes;
    stage.delta = stage.lse2 + 4 * kCols;
    return stage;
  };
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int row0 = warp % Shape::kRowWarps * 16;
  const int part_chunk = warp / Shape::kRowWarps * kPartBlocks;

  const int kv_head = static_cast<int>(blockIdx.x % params.num_heads_kv);
  const int tile = tile_at(plan, static_cast<int>(blockIdx.x / params.num_heads_kv));
  const int key0 = tile * kRows;
  const bool short_tile = key0 + kRows > params.total_k;
  const int num_chunks = params.head_dim / 8;
  const int shift = launch.packing_shift;
  const int head_end = (kv_head + 1) * params.group_size;
  const ScoreTransform transform = ScoreTransform::of(params.softmax_scale, params.softcap);
  const float unit_log2 = transform.unit * kLog2E;

  read_tile_runs(runs, plan, tile, true);
  TileCursor cursor(runs, plan.tile_cols);
  int head = kv_head * params.group_size;  // the first one in the rows of a tile

  // Starts to copy the queries under the cursor.
  const auto load_queries = [&](const QueryStage<kCols, kDim>& stage) {
    const QueryRows rows{cursor.col_begin(), head, shift, params.total_q};
    const auto source = [&](const void* tensor, int row) -> const void* {
      if (!rows.exists(row)) return nullptr;
      return static_cast<const Element*>(tensor) +
             (static_cast<int64_t>(rows.token(row)) * params.num_heads_q + rows.head(row)) * params.head_dim;
    };
    stage.q.template load_async<Shape::kThreads>(num_chunks, params.q, [&](int row) { return source(params.q, row); });
    stage.grad_out.template load_async<Shape::kThreads>(num_chunks, params.grad_out,
                                                        [&](int row) { return source(params.grad_out, row); });
    // Rows that do not exist get lse 0 and delta 0: with q and grad_out 0 they add nothing.
    if (threadIdx.x < 2 * kCols) {
      const bool is_lse = threadIdx.x < kCols;
      const int row = threadIdx.x % kCols;
      const float* from = is_lse ? launch.statistics.lse2 : launch.statistics.delta;
      const bool exists = rows.exists(row);
      copy_4_async((is_lse ? stage.lse2 : stage.delta) + 4 * row, exists ? from + rows.packed_index(row) : from, exists);
    }
    commit_copies();
  };
  // To the next tile of queries; after the last one of a head, to the first one of the next head.
  const auto advance = [&] {
    cursor.advance();
    if (cursor.done() && head + (1 << shift) < head_end) {
      head += 1 << shift;
      cursor.restart();
    }
  };

  float grad_keys[kPartBlocks][4], grad_values[kPartBlocks][4];
#pragma unroll
  for (int n = 0; n < kPartBlocks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) grad_keys[n][i] = grad_values[n][i] = 0.0f;
  }

  if (!cursor.done()) {
    const auto load_keys = [&](const SharedTile<kRows, kDim>& to, const void* tensor) {
      to.template load_async<Shape::kThreads>(num_chunks, tensor, [&](int row) -> const void* {
        if (key0 + row >= params.total_k) return nullptr;
        return static_cast<const Element*>(tensor) +
               (static_cast<int64_t>(key0 + row) * params.num_heads_kv + kv_head) * params.head_dim;
      });
    };
    load_keys(keys, params.k);
    load_keys(values, params.v);
    load_queries(stage_at(0));
  }
  int current = 0;
#pragma unroll 1
  while (!cursor.done()) {
    const QueryStage<kCols, kDim> stage = stage_at(current);
    const QueryRows rows{cursor.col_begin(), head, shift, params.total_q};
    // The queries are here, and all warps are done with the tile before.
    wait_copies<0>();
    __syncthreads();

    const bool masked = cursor.band_count() > 0 || short_tile;
    uint32_t bits[2] = {0xffffffffu, 0xffffffffu};
    if (masked) {
      const int key_rows[2] = {key0 + row0 + lane / 4, key0 + row0 + lane / 4 + 8};
      visible_bits<kCols>(bits, key_rows, cursor, plan, shift, lane);
    }
    advance();
    if (launch.stages == 2) {
      current ^= 1;
      if (!cursor.done()) load_queries(stage_at(current));
    }

    float scores[kBlocks][4], grads[kBlocks][4];
    row_products<Element>(scores, keys, stage.q, row0, lane);
    row_products<Element>(grads, values, stage.grad_out, row0, lane);
    uint32_t probs[kBlocks][2], grad_pairs[kBlocks][2];
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
      const int col = 8 * n + 2 * (lane % 4);
      const float2 lse2 = load_shared_pair(stage.lse2 + 4 * col);
      const float2 delta = load_shared_pair(stage.delta + 4 * col);
      float p[4], ds[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float score = transform.active ? transform.apply(scores[n][e]) : scores[n][e];
        const bool visible = bits[e / 2] >> (2 * n + e % 2) & 1;
        p[e] = visible ? exp2_approx(score * unit_log2 - (e % 2 == 0 ? lse2.x : lse2.y)) : 0.0f;
        ds[e] = p[e] * (grads[n][e] - (e % 2 == 0 ? delta.x : delta.y));
        if (transform.capped) ds[e] *= 1.0f - score * score;
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        probs[n][h] = pack_pair<Element>(p[2 * h], p[2 * h + 1]);
        grad_pairs[n][h] = pack_pair<Element>(ds[2 * h], ds[2 * h + 1]);
      }
    }
    // Warps with the same keys have the same dS: one of them writes it.
    if (warp < Shape::kRowWarps) {
#pragma unroll
      for (int n = 0; n < kBlocks; ++n) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          store_shared(grad_scores.chunk_address(row0 + lane / 4 + 8 * h, n) + 4 * (lane % 4), grad_pairs[n][h]);
        }
      }
    }
    add_weighted_rows<Element>(grad_values, probs, stage.grad_out, part_chunk, lane);
    add_weighted_rows<Element>(grad_keys, grad_pairs, stage.q, part_chunk, lane);

    // dS is complete, and all warps are done with the queries.
    __syncthreads();
    if (launch.stages == 1 && !cursor.done()) load_queries(stage);
    add_query_grads<Element, Shape::kQueryDim / 8>(launch, grad_scores, keys, rows, warp % Shape::kQueryWarps * 16,
                                                   warp / Shape::kQueryWarps * (Shape::kQueryDim / 8), lane);
  }
  store_key_grads<Element>(grad_keys, params.grad_k, params.softmax_scale, params, key0 + row0, kv_head, part_chunk, lane);
  store_key_grads<Element>(grad_values, params.grad_v, 1.0f, params, key0 + row0, kv_head, part_chunk, lane);
}

}  // namespace magi::ffa::sm80

#endif
