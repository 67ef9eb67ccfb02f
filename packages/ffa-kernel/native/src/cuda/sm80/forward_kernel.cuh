// Attention of one tile of queries: passes over the keys that the plan names for it and keeps a running softmax in registers.
#ifndef MAGI_FFA_SM80_FORWARD_KERNEL_CUH
#define MAGI_FFA_SM80_FORWARD_KERNEL_CUH

#include "../common/column_mask.cuh"
#include "../common/numeric.cuh"
#include "../common/row_result.cuh"
#include "forward.hpp"
#include "query_rows.cuh"
#include "shapes.hpp"
#include "shared_tile.cuh"

namespace magi::ffa::sm80 {

// What a thread has of the results: rows g and g + 8 of each 16, where g = lane / 4.
template <int kDim, int kRowTiles>
struct ForwardState {
  float out[kRowTiles][kDim / 8][4];
  float max[kRowTiles][2];  // of scores, all threads of a row agree
  float sum[kRowTiles][2];  // of the thread's own columns
};

template <typename Element, int kDim, typename Queries, typename Keys, int kRowTiles, int kCols>
__device__ __forceinline__ void score_products(float (&scores)[kRowTiles][kCols / 8][4], const Queries& queries, const Keys& keys,
                                               int row0, int lane) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < kCols / 8; ++n) scores[m][n][0] = scores[m][n][1] = scores[m][n][2] = scores[m][n][3] = 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) queries.load_a(a[m], row0 + 16 * m, 2 * step, lane);
#pragma unroll
    for (int n = 0; n < kCols / 16; ++n) {
      uint32_t b[4];
      keys.load_b(b, 16 * n, 2 * step, lane);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        mma<Element>(scores[m][2 * n], a[m], b[0], b[1]);
        mma<Element>(scores[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// Scores become probabilities relative to the new maximum of their row; sums and outputs follow.
template <int kDim, int kRowTiles, int kCols>
__device__ __forceinline__ void softmax_step(ForwardState<kDim, kRowTiles>& state, float (&scores)[kRowTiles][kCols / 8][4],
                                             float unit_log2) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float top = state.max[m][h];
#pragma unroll
      for (int n = 0; n < kCols / 8; ++n) top = fmaxf(top, fmaxf(scores[m][n][2 * h], scores[m][n][2 * h + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      // A row that has seen nothing: -infinity less itself would be NaN.
      const float shift = top == -INFINITY ? 0.0f : top * unit_log2;
      // Exactly 1 where nothing changed: over a million keys the rounding of the difference would add up.
      const float factor = top == state.max[m][h] ? 1.0f : exp2_approx(state.max[m][h] * unit_log2 - shift);
      state.max[m][h] = top;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kCols / 8; ++n) {
#pragma unroll
        for (int e = 2 * h; e < 2 * h + 2; ++e) {
          scores[m][n][e] = exp2_approx(scores[m][n][e] * unit_log2 - shift);
          sum += scores[m][n][e];
        }
      }
      state.sum[m][h] = state.sum[m][h] * factor + sum;
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        state.out[m][n][2 * h] *= factor;
        state.out[m][n][2 * h + 1] *= factor;
      }
    }
  }
}

template <typename Element, int kDim, typename Values, int kRowTiles, int kCols>
__device__ __forceinline__ void add_values(ForwardState<kDim, kRowTiles>& state, const float (&probs)[kRowTiles][kCols / 8][4],
                                           const Values& values, int lane) {
#pragma unroll
  for (int step = 0; step < kCols / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = &probs[m][2 * step + i / 2][2 * (i % 2)];
        a[m][i] = pack_pair<Element>(pair[0], pair[1]);
      }
    }
#pragma unroll
    for (int n = 0; n < kDim / 16; ++n) {
      uint32_t b[4];
      values.load_b_transposed(b, 16 * step, 2 * n, lane);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        mma<Element>(state.out[m][2 * n], a[m], b[0], b[1]);
        mma<Element>(state.out[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// Normalises a thread's rows and writes them with their lse.
template <typename Element, int kDim, int kRowTiles>
__device__ __forceinline__ void store_rows(const ForwardState<kDim, kRowTiles>& state, const ForwardParams& params,
                                           const QueryRows& rows, int row0, float unit_log2, int lane) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float sum = state.sum[m][h];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      const int row = row0 + 16 * m + lane / 4 + 8 * h;
      const bool exists = rows.exists(row);
      const int head = rows.head(row);
      const int64_t token = rows.token(row);
      const int64_t index = token * params.num_heads_q + head;
      RowResult result{};
      if (exists) {
        const RowSinks sinks =
            RowSinks::of(params.sink, params.sink_layout, params.sink_tokens, params.num_heads_q, token, head);
        result = finish_row(state.max[m][h] * unit_log2, sum, sinks);
        if (params.accumulate) result = merge_rows(result, params.lse[index]);
      }
      // The four threads of a row read the old lse before one of them writes the new one.
      __syncwarp();
      if (!exists) continue;
      if (lane % 4 == 0) params.lse[index] = result.lse;
      const int64_t begin = index * params.head_dim;
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        const int d = 8 * n + 2 * (lane % 4);
        if (d >= params.head_dim) continue;
        float2 pair = {state.out[m][n][2 * h] * result.factor, state.out[m][n][2 * h + 1] * result.factor};
        if (params.out_dtype == MAGI_FLOAT32) {
          float2* place = reinterpret_cast<float2*>(static_cast<float*>(params.out) + begin + d);
          if (result.old_factor != 0.0f) {
            const float2 old = *place;
            pair.x += old.x * result.old_factor;
            pair.y += old.y * result.old_factor;
          }
          *place = pair;
        } else {
          *reinterpret_cast<uint32_t*>(static_cast<Element*>(params.out) + begin + d) = pack_pair<Element>(pair.x, pair.y);
        }
      }
    }
  }
}

template <int kDim, int kRowTiles>
__device__ __forceinline__ void raise_max_logits(const ForwardState<kDim, kRowTiles>& state, const ForwardParams& params,
                                                 const QueryRows& rows, int row0, float unit, int lane) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = row0 + 16 * m + lane / 4 + 8 * h;
      const bool exists = rows.exists(row);
      float top = exists ? state.max[m][h] * unit : -INFINITY;
      if (rows.shift == 0) {
        // All rows are of one head.
#pragma unroll
        for (int step = 4; step < 32; step *= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, step));
        if (lane == 0) atomic_max(params.max_logits + rows.head0, top);
      } else if (exists && lane % 4 == 0) {
        atomic_max(params.max_logits + rows.head(row), top);
      }
    }
  }
}

// In constant memory: what is computed in the kernel would take registers, of which head_dim 128 has none to spare.
struct ForwardConstants {
  ForwardLaunch launch;
  ScoreTransform transform;
  float unit_log2;  // of the transformed scores, for exp2

  explicit ForwardConstants(const ForwardLaunch& from)
      : launch(from),
        transform(ScoreTransform::of(from.params.softmax_scale, from.params.softcap)),
        unit_log2(transform.unit * kLog2E) {}
};

template <typename Element, int kDim>
__global__ __launch_bounds__(ForwardShape<kDim>::kThreads, ForwardShape<kDim>::kBlocksPerSm) void forward_kernel(
    const __grid_constant__ ForwardConstants constants) {
  using Shape = ForwardShape<kDim>;
  constexpr int kRows = Shape::kRows, kCols = Shape::kCols, kRowTiles = Shape::kRowTiles;
  const ForwardLaunch& launch = constants.launch;
  const ForwardParams& params = launch.params;
  const PlanView& plan = params.plan;
  __shared__ TileRuns runs;
  const SharedTile<kRows, kDim> queries{smem_address(dynamic_shared())};
  const SharedTile<kCols, kDim> keys{queries.base + queries.kBytes};
  const SharedTile<kCols, kDim> values{keys.base + keys.kBytes};
  const int lane = threadIdx.x % 32;
  const int row0 = threadIdx.x / 32 * 16 * kRowTiles;

  const int row_head = static_cast<int>(blockIdx.x % launch.num_row_heads);
  const int tile = tile_at(plan, static_cast<int>(blockIdx.x / launch.num_row_heads));
  const QueryRows rows{tile * plan.tile_rows, row_head << launch.packing_shift, launch.packing_shift, params.total_q};
  const int kv_head = rows.head0 / params.group_size;
  const int num_chunks = params.head_dim / 8;
  const ScoreTransform& transform = constants.transform;
  const float unit_log2 = constants.unit_log2;

  const auto load_keys = [&](const auto& to, const void* tensor, int begin) {
    to.template load_async<Shape::kThreads>(num_chunks, tensor, [&](int row) -> const void* {
      if (begin + row >= params.total_k) return nullptr;
      return static_cast<const Element*>(tensor) +
             (static_cast<int64_t>(begin + row) * params.num_heads_kv + kv_head) * params.head_dim;
    });
    commit_copies();
  };

  ForwardState<kDim, kRowTiles> state;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    state.max[m][0] = state.max[m][1] = -INFINITY;
    state.sum[m][0] = state.sum[m][1] = 0.0f;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) state.out[m][n][0] = state.out[m][n][1] = state.out[m][n][2] = state.out[m][n][3] = 0.0f;
  }

  read_tile_runs(runs, plan, tile, false);
  TileCursor cursor(runs, kCols);
  if (!cursor.done()) {
    queries.template load_async<Shape::kThreads>(num_chunks, params.q, [&](int row) -> const void* {
      if (!rows.exists(row)) return nullptr;
      return static_cast<const Element*>(params.q) +
             (static_cast<int64_t>(rows.token(row)) * params.num_heads_q + rows.head(row)) * params.head_dim;
    });
    load_keys(keys, params.k, cursor.col_begin());
  }
#pragma unroll 1
  while (!cursor.done()) {
    // The keys are here, and all warps are done with the values before: the next ones arrive during the first product.
    wait_copies<0>();
    __syncthreads();
    load_keys(values, params.v, cursor.col_begin());

    float scores[kRowTiles][kCols / 8][4];
    score_products<Element, kDim, decltype(queries), decltype(keys), kRowTiles, kCols>(scores, queries, keys, row0, lane);
    if (transform.active) {
#pragma unroll
      for (int i = 0; i < kRowTiles * kCols / 2; ++i) (&scores[0][0][0])[i] = transform.apply((&scores[0][0][0])[i]);
    }
    if (cursor.band_count() > 0 || cursor.col_begin() + kCols > plan.num_cols) {
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        // Registers are short: two rows at a time, and nothing of it computed ahead of the loop.
        int row = row0 + 16 * m + lane / 4;
        make_opaque(row);
        const int tokens[2] = {rows.token(row), rows.token(row + 8)};
        uint32_t bits[2];
        visible_bits<kCols>(bits, tokens, cursor, plan, 0, lane);
#pragma unroll
        for (int n = 0; n < kCols / 8; ++n) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            if (!(bits[e / 2] >> (2 * n + e % 2) & 1)) scores[m][n][e] = -INFINITY;
          }
        }
      }
    }

    cursor.advance();
    // The values are here, and all warps are done with the keys.
    wait_copies<0>();
    __syncthreads();
    if (!cursor.done()) load_keys(keys, params.k, cursor.col_begin());
    softmax_step<kDim, kRowTiles, kCols>(state, scores, unit_log2);
    add_values<Element, kDim, decltype(values), kRowTiles, kCols>(state, scores, values, lane);
  }
  if (params.max_logits != nullptr) raise_max_logits(state, params, rows, row0, transform.unit, lane);
  store_rows<Element>(state, params, rows, row0, unit_log2, lane);
}

}  // namespace magi::ffa::sm80

#endif
