// What the planner reads and writes, and where it lies in the caller's memory.
#ifndef MAGI_FFA_CUDA_PLAN_WORKSPACE_HPP
#define MAGI_FFA_CUDA_PLAN_WORKSPACE_HPP

#include <type_traits>

#include <cuda_runtime_api.h>

#include "full_columns.hpp"

namespace magi::ffa::plan {

// What a row tile needs, found by the first pass over it.
struct alignas(16) TileCounts {
  int32_t num_runs;
  int32_t num_masked;  // runs that are masked
  int32_t num_list;    // entries of their band lists
  int32_t cost;
};

struct Header {
  int32_t max_cost;
  int32_t first_unfit;  // tiles from here on found no room for their runs: each has one masked run that names all bands
};

// Sizes, checked; all that the kernels need to know.
struct PlanJob {
  const int32_t* q_ranges;       // [num_bands, 2]
  const int32_t* k_ranges;       // [num_bands, 2]
  const int32_t* attn_type_map;  // [num_bands], or null: all full
  const int32_t* given_bands;    // [num_bands, 6] instead of the three above, or null
  int32_t num_bands;
  int32_t num_rows;
  int32_t tile_rows;
  int32_t num_tiles;
  ColumnGrid grid;
  bool transposed;       // rows are keys
  int32_t run_capacity;  // for the runs of tiles that fit; num_tiles more lie behind
  int32_t list_capacity;

  Header* header;
  Band* bands;            // [num_bands]
  int32_t (*rows)[2];     // [num_bands] row0 and row1 of each band
  TileCounts* counts;     // [num_tiles]
  int32_t (*met)[2];      // [num_tiles] range of the indices of the bands that meet a tile
  int32_t* list_begin;    // [num_tiles] where the band lists of a tile begin in run_bands
  int32_t* tile_order;    // [num_tiles]
  int32_t* tile_runs;     // [num_tiles + 1]
  int4* runs;             // [run_capacity + num_tiles]
  int32_t* run_bands;     // [num_bands + list_capacity]: all bands, then the lists
};

// Lays the arrays of `job`, whose sizes are set, into `memory` (aligned to 256 bytes). Returns the bytes that they take;
// with memory == nullptr that is all it does.
inline int64_t lay_out(PlanJob& job, void* memory) {
  int64_t used = 0;
  const auto place = [&](auto*& array, int64_t count) {
    using Element = std::remove_reference_t<decltype(*array)>;
    array = reinterpret_cast<Element*>(static_cast<char*>(memory) + used);
    used += (count * static_cast<int64_t>(sizeof(Element)) + 255) / 256 * 256;
  };
  place(job.header, 1);
  place(job.bands, job.num_bands);
  place(job.rows, job.num_bands);
  place(job.counts, job.num_tiles);
  place(job.met, job.num_tiles);
  place(job.list_begin, job.num_tiles);
  place(job.tile_order, job.num_tiles);
  place(job.tile_runs, int64_t{job.num_tiles} + 1);
  place(job.runs, int64_t{job.run_capacity} + job.num_tiles);
  place(job.run_bands, int64_t{job.num_bands} + job.list_capacity);
  return used;
}

// Enqueues the kernels. Throws magi::Error.
void enqueue_plan(const PlanJob& job, cudaStream_t stream);

}  // namespace magi::ffa::plan

#endif
