// The rows that a tile streams past, block by block. Included inside an instruction set's own namespace (see kernels.inl.hpp).

// Rows [begin, end) of one head as units along head_dim, zeros beyond the tensor. out: row `begin`.
template <typename Units>
inline void pack_rows(float* out, const void* in, int32_t dtype, int64_t total, int heads, int head, int64_t dim,
                      int64_t begin, int64_t end) {
  const int64_t dim_units = dim / Units::kPack;
  for (int64_t row = begin; row < end; ++row) {
    float* at = out + (row - begin) * dim_units;
    if (row < total) {
      read_units<Units>(at, element_at(in, dtype, (row * heads + head) * dim), dtype, dim);
    } else {
      for (int64_t i = 0; i < dim_units; ++i) at[i] = 0.0f;
    }
  }
}

// The same rows as units along the rows, ld units apart; begin is a multiple of the pack.
template <typename Units>
inline void pack_pairs(float* out, int64_t ld, const void* in, int32_t dtype, int64_t total, int heads, int head,
                       int64_t dim, int64_t begin, int64_t end) {
  const auto row_at = [&](int64_t row) { return row < total ? element_at(in, dtype, (row * heads + head) * dim) : nullptr; };
  for (int64_t row = begin; row < end; row += Units::kPack) {
    float* at = out + (row - begin) / Units::kPack * ld;
    int64_t filled = 0;
    if constexpr (Units::kPack == 2) {
      Units::interleave(at, row_at(row), row_at(row + 1), dim);
      filled = dim;
    } else if (row < total) {
      read_row(at, row_at(row), dtype, dim);
      filled = dim;
    }
    for (int64_t i = filled; i < ld; ++i) at[i] = 0.0f;
  }
}

template <typename Units>
inline void pack_range(float* out, const Operand& operand, int head, int64_t dim, int64_t begin, int64_t end) {
  if (operand.along_rows) {
    pack_pairs<Units>(out, dim, operand.tensor, operand.dtype, operand.total, operand.heads, head, dim, begin, end);
  } else {
    pack_rows<Units>(out, operand.tensor, operand.dtype, operand.total, operand.heads, head, dim, begin, end);
  }
}

// What `rows` rows of elements take as units, along whichever axis.
template <typename Units>
inline int64_t floats_of(int64_t dim, int64_t rows) {
  return rows * dim / Units::kPack;
}

template <typename Units>
inline void pack_operand(const Operand& operand, int64_t slot, int head, int64_t dim, int64_t begin, int64_t end) {
  float* out = operand.packed + slot * operand.slot_floats + floats_of<Units>(dim, begin);
  pack_range<Units>(out, operand, head, dim, begin, end);
}

// One block of an operand: rows are counted from the block's first.
struct Block {
  const float* data;
  int64_t row;  // distance between rows of units
};

// Rows [begin, end) of the block from `first` on, whole panels; beyond the tensor they are zeros. local: room for kTileCols rows,
// unless the operand is packed.
template <typename Units>
inline Block block_of(const Operand& operand, int64_t slot, int head, int64_t dim, int64_t first, int64_t begin, int64_t end,
                      float* local) {
  const int64_t row = operand.along_rows ? dim : dim / Units::kPack;
  if (operand.place == Place::kPacked) {
    return {operand.packed + slot * operand.slot_floats + floats_of<Units>(dim, first), row};
  }
  if (operand.place == Place::kInPlace && first + end <= operand.total) {
    const float* tensor = static_cast<const float*>(operand.tensor);
    const int64_t stride = operand.heads * (dim / Units::kPack);
    return {tensor + first * stride + head * (dim / Units::kPack), stride};
  }
  pack_range<Units>(local + floats_of<Units>(dim, begin), operand, head, dim, first + begin, first + end);
  return {local, row};
}

// Asks for a block's rows ahead of their use where they lie scattered over a tensor: no hardware prefetcher follows a row from
// page to page.
inline void prefetch_operand(const Operand& operand, int head, int64_t dim, int64_t first) {
  if (operand.place == Place::kPacked) return;
  const int64_t stride = operand.heads * dim;
  const void* start = element_at(operand.tensor, operand.dtype, first * stride + head * dim);
  prefetch_elements(start, operand.dtype, stride, dim, smaller(kTileCols, operand.total - first));
}
