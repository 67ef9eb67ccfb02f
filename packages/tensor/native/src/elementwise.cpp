#include "internal.hpp"
#include "vector_kernels.hpp"

#include <magi/tensor.h>

#include <cmath>

namespace magi {
namespace {

constexpr int kMaxRank = 8;

// The dimensions of a broadcast operation, those of size 1 dropped and neighbours that step evenly joined. The last is
// the row that a kernel walks along; there is always one.
struct Iteration {
  int rank = 0;
  int64_t sizes[kMaxRank + 1];
  int64_t a_strides[kMaxRank + 1];
  int64_t b_strides[kMaxRank + 1];

  Iteration(int32_t dims, const int64_t* in_sizes, const int64_t* in_a, const int64_t* in_b) {
    for (int d = 0; d < dims; ++d) {
      if (in_sizes[d] == 1) continue;
      const int last = rank - 1;
      if (rank > 0 && a_strides[last] == in_a[d] * in_sizes[d] && b_strides[last] == in_b[d] * in_sizes[d]) {
        sizes[last] *= in_sizes[d];
        a_strides[last] = in_a[d];
        b_strides[last] = in_b[d];
      } else {
        sizes[rank] = in_sizes[d];
        a_strides[rank] = in_a[d];
        b_strides[rank++] = in_b[d];
      }
    }
    if (rank == 0) {
      sizes[rank] = 1;
      a_strides[rank] = b_strides[rank] = 1;
      ++rank;
    }
  }
};

// Where a row begins: an odometer over all dimensions but the last.
struct RowCursor {
  const Iteration& iteration;
  int64_t index[kMaxRank + 1] = {};
  int64_t a = 0;
  int64_t b = 0;

  RowCursor(const Iteration& it, int64_t row) : iteration(it) {
    for (int d = it.rank - 2; d >= 0; --d) {
      index[d] = row % it.sizes[d];
      row /= it.sizes[d];
      a += index[d] * it.a_strides[d];
      b += index[d] * it.b_strides[d];
    }
  }

  void next() {
    for (int d = iteration.rank - 2; d >= 0; --d) {
      a += iteration.a_strides[d];
      b += iteration.b_strides[d];
      if (++index[d] < iteration.sizes[d]) return;
      a -= iteration.a_strides[d] * iteration.sizes[d];
      b -= iteration.b_strides[d] * iteration.sizes[d];
      index[d] = 0;
    }
  }
};

void check_strides(const int64_t* strides, const int64_t* sizes, int32_t rank, const char* name) {
  check(strides != nullptr || rank == 0, "%s: expected %d strides, got NULL", name, rank);
  int64_t reach = 0;
  for (int d = 0; d < rank; ++d) {
    check_extent(strides[d], name);
    reach += checked_product({sizes[d] - 1, strides[d]}, name);
    check(reach <= INT64_MAX / 8, "%s: the elements reached do not fit 64 bits", name);
  }
}

}  // namespace
}  // namespace magi

int32_t magi_tensor_binary(int32_t op, void* out, const void* a, const void* b, int32_t dtype, int32_t rank,
                           const int64_t* sizes, const int64_t* a_strides, const int64_t* b_strides,
                           int32_t num_threads, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check(op >= MAGI_ADD && op <= MAGI_DIV, "op: expected one of MagiBinaryOp (0 to 3), got %d", op);
    check_dtype(dtype);
    check(rank >= 0 && rank <= kMaxRank, "rank: expected 0 to %d, got %d", kMaxRank, rank);
    check(sizes != nullptr || rank == 0, "sizes: expected %d sizes, got NULL", rank);
    int64_t count = 1;
    for (int d = 0; d < rank; ++d) {
      check_extent(sizes[d], "sizes");
      if (sizes[d] == 0) count = 0;
    }
    const int threads = resolve_num_threads(num_threads);
    if (count == 0) return;
    for (int d = 0; d < rank; ++d) count = checked_product({count, sizes[d]}, "sizes");
    check_strides(a_strides, sizes, rank, "a_strides");
    check_strides(b_strides, sizes, rank, "b_strides");
    check_pointer(out, count, "out");
    check_pointer(a, count, "a");
    check_pointer(b, count, "b");

    const Iteration iteration(rank, sizes, a_strides, b_strides);
    const int64_t row = iteration.sizes[iteration.rank - 1];
    const int64_t a_step = iteration.a_strides[iteration.rank - 1];
    const int64_t b_step = iteration.b_strides[iteration.rank - 1];
    const int64_t size = element_size(dtype);
    const auto kernel = vector_kernels().binary[op][dtype];
    // Long rows are cut into pieces, short ones go together.
    const int64_t pieces = (row - 1) / kElementGrain + 1;
    const int64_t grain = std::max<int64_t>(kElementGrain / row, 1);
    parallel_for(threads, count / row * pieces, grain, [&](int64_t begin, int64_t end) {
      int64_t piece = begin % pieces;
      RowCursor cursor(iteration, begin / pieces);
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t first = piece * kElementGrain;
        const bool defined = kernel(offset_bytes(out, (unit / pieces * row + first) * size),
                                    offset_bytes(a, (cursor.a + first * a_step) * size), a_step,
                                    offset_bytes(b, (cursor.b + first * b_step) * size), b_step,
                                    std::min(kElementGrain, row - first));
        check(defined, "b: integer division by zero");
        if (++piece == pieces) {
          piece = 0;
          cursor.next();
        }
      }
    });
  });
}

int32_t magi_tensor_scale(void* out, const void* a, int64_t count, int32_t dtype, double scale, double shift,
                          int32_t num_threads, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    check_pointer(a, count, "a");
    if (is_integer(dtype)) {
      for (const double value : {scale, shift}) {
        check(value == std::floor(value) && std::fabs(value) < 0x1p63,
              "scale, shift: expected whole numbers for an integer dtype, got %g and %g", scale, shift);
      }
    }
    const auto kernel = vector_kernels().scale[dtype];
    const int64_t size = element_size(dtype);
    parallel_for(resolve_num_threads(num_threads), count, kElementGrain, [&](int64_t begin, int64_t end) {
      kernel(offset_bytes(out, begin * size), offset_bytes(a, begin * size), end - begin, scale, shift);
    });
  });
}
