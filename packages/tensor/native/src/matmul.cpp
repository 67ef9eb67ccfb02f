// The matrix product, after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication": c is cut into
// macro tiles; for each, stretches of k are packed into panels that caches hold, and register tiles multiply panels.
//
// Every element of c is the sum, in order, of its sums over stretches of kDepth; threads and tile sizes only decide who
// computes it, so they never change it.
#include "gemm_kernel.hpp"
#include "internal.hpp"
#include "vector_kernels.hpp"

#include <magi/scratch.hpp>
#include <magi/tensor.h>

#include <cstring>

namespace magi {
namespace {

constexpr int64_t kDepth = 512;           // panel elements of k in one stretch
constexpr int64_t kMacroRows = 4096;      // macro tile of c
constexpr int64_t kMacroCols = 2048;
constexpr int64_t kTaskRows = 168;        // task tile of c: its rows of a stay in the second-level cache
constexpr int64_t kTaskCols = 512;
constexpr int64_t kKeptScratch = 8 << 20; // bytes that a thread keeps from call to call
constexpr double kWorkPerThread = 1 << 20;  // multiply-adds that are worth a thread

struct Matrix {
  const void* data;
  int64_t width_stride;  // from one row of op(a), or column of op(b), to the next
  int64_t depth_stride;  // from one k to the next
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

const GemmKernel& gemm_kernel(int32_t dtype) {
#if defined(MAGI_X86_64)
  switch (active_isa()) {
    case Isa::kAvx512Bf16: return gemm_kernels_avx512_bf16()[dtype];
    case Isa::kAvx512: return gemm_kernels_avx512()[dtype];
    case Isa::kAvx2: return gemm_kernels_avx2()[dtype];
    default: break;
  }
#endif
  return gemm_kernels_portable()[dtype];
}

// Panel memory lasts from call to call, unless it is large: page faults cost as much as a small product.
struct PanelMemory {
  Scratch<char> a;
  Scratch<char> b;
  Scratch<char> c;

  void trim() {
    for (Scratch<char>* scratch : {&a, &b, &c}) {
      if (scratch->capacity() > kKeptScratch) *scratch = Scratch<char>();
    }
  }
};

// All panels of one operand over a macro tile and a stretch of k.
struct Panels {
  const GemmKernel& kernel;
  int64_t panel_width;
  char* data = nullptr;
  int64_t width = 0;
  int64_t steps = 0;  // panel elements along k

  int64_t count() const { return divide_up(width, panel_width); }
  int64_t panel_bytes() const { return panel_width * steps * kernel.element_size; }
  char* panel(int64_t index) const { return data + index * panel_bytes(); }
  int64_t width_of(int64_t index) const { return std::min(panel_width, width - index * panel_width); }
};

class Product {
 public:
  Product(void* out, int32_t dtype, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, int num_threads)
      : kernel_(gemm_kernel(dtype)), out_(out), dtype_(dtype), m_(m), n_(n), k_(k), a_(a), b_(b) {
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    num_threads_ = static_cast<int>(std::clamp(work / kWorkPerThread, 1.0, static_cast<double>(num_threads)));
    // Panels of equal height waste least of the last one.
    const int64_t row_panels = divide_up(m, kernel_.max_rows);
    panel_rows_ = divide_up(m, row_panels);
  }

  void run(PanelMemory& memory) {
    for (int64_t col = 0; col < n_; col += kMacroCols) {
      for (int64_t row = 0; row < m_; row += kMacroRows) {
        macro_tile(memory, row, std::min(kMacroRows, m_ - row), col, std::min(kMacroCols, n_ - col));
      }
    }
  }

 private:
  // 16-bit results are summed in a float32 copy of the macro tile.
  bool rounds() const { return element_size(dtype_) < kernel_.result_size; }

  void macro_tile(PanelMemory& memory, int64_t row, int64_t rows, int64_t col, int64_t cols) {
    const int64_t stretch = kDepth * kernel_.group;
    const int64_t max_steps = divide_up(std::min(stretch, k_), kernel_.group);
    Panels a{kernel_, panel_rows_};
    Panels b{kernel_, kernel_.cols};
    a.width = rows;
    b.width = cols;
    a.data = memory.a.reserve(a.count() * panel_rows_ * max_steps * kernel_.element_size);
    b.data = memory.b.reserve(b.count() * kernel_.cols * max_steps * kernel_.element_size);
    char* c = offset_bytes(out_, (row * n_ + col) * element_size(dtype_));
    char* sums = c;
    int64_t sums_stride = n_;
    if (rounds()) {
      sums = memory.c.reserve(rows * cols * kernel_.result_size);
      sums_stride = cols;
    }
    for (int64_t depth = 0; depth < k_; depth += stretch) {
      const int64_t length = std::min(stretch, k_ - depth);
      a.steps = b.steps = divide_up(length, kernel_.group);
      pack(a, b, row, col, depth, length);
      const bool last = depth + length == k_;
      multiply(a, b, sums, sums_stride, depth > 0, last && rounds() ? c : nullptr);
    }
  }

  void pack(const Panels& a, const Panels& b, int64_t row, int64_t col, int64_t depth, int64_t length) {
    const int64_t a_count = a.count();
    parallel_for(num_threads_, a_count + b.count(), 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (i < a_count) {
          pack_panel(a, i, a_, row, depth, length);
        } else {
          pack_panel(b, i - a_count, b_, col, depth, length);
        }
      }
    });
  }

  void pack_panel(const Panels& panels, int64_t index, const Matrix& matrix, int64_t first, int64_t depth,
                  int64_t length) {
    const int64_t start = (first + index * panels.panel_width) * matrix.width_stride + depth * matrix.depth_stride;
    // Rows of c that do not exist are never computed, columns are: only b is padded.
    const int64_t width = panels.width_of(index);
    const int64_t panel_width = &matrix == &a_ ? width : panels.panel_width;
    kernel_.pack(panels.panel(index), offset_bytes(matrix.data, start * element_size(dtype_)), width, panel_width,
                 length, matrix.width_stride, matrix.depth_stride);
  }

  void multiply(const Panels& a, const Panels& b, char* sums, int64_t sums_stride, bool accumulate, char* rounded) {
    // Tasks are tiles of panels: large for the caches, yet several for each thread.
    int64_t task_rows = std::max<int64_t>(kTaskRows / a.panel_width, 1);
    int64_t task_cols = std::max<int64_t>(kTaskCols / b.panel_width, 1);
    const auto num_tasks = [&] { return divide_up(a.count(), task_rows) * divide_up(b.count(), task_cols); };
    while (num_threads_ > 1 && num_tasks() < 4 * num_threads_ && (task_cols > 1 || task_rows > 1)) {
      if (task_cols > 1) task_cols = divide_up(task_cols, 2);
      else task_rows = divide_up(task_rows, 2);
    }
    const int64_t row_tasks = divide_up(a.count(), task_rows);
    parallel_for(num_threads_, num_tasks(), 1, [&](int64_t task, int64_t) {
      const int64_t a_begin = task % row_tasks * task_rows;
      const int64_t a_end = std::min(a_begin + task_rows, a.count());
      const int64_t b_begin = task / row_tasks * task_cols;
      const int64_t b_end = std::min(b_begin + task_cols, b.count());
      for (int64_t j = b_begin; j < b_end; ++j) {
        for (int64_t i = a_begin; i < a_end; ++i) {
          const int64_t offset = i * a.panel_width * sums_stride + j * b.panel_width;
          kernel_.multiply(sums + offset * kernel_.result_size, sums_stride, a.panel(i), b.panel(j), a.steps,
                           a.width_of(i), b.width_of(j), accumulate);
        }
      }
      if (rounded != nullptr) {
        const int64_t first_col = b_begin * b.panel_width;
        const int64_t cols = std::min(b_end * b.panel_width, b.width) - first_col;
        const int64_t last_row = std::min(a_end * a.panel_width, a.width);
        for (int64_t r = a_begin * a.panel_width; r < last_row; ++r) {
          vector_kernels().cast[dtype_][MAGI_FLOAT32](rounded + (r * n_ + first_col) * element_size(dtype_),
                                                      sums + (r * sums_stride + first_col) * kernel_.result_size, cols);
        }
      }
    });
  }

  const GemmKernel& kernel_;
  void* out_;
  int32_t dtype_;
  int64_t m_;
  int64_t n_;
  int64_t k_;
  Matrix a_;
  Matrix b_;
  int num_threads_ = 1;
  int64_t panel_rows_ = 1;
};

}  // namespace
}  // namespace magi

int32_t magi_tensor_matmul(void* out, const void* a, const void* b, int32_t dtype, int64_t m, int64_t n, int64_t k,
                           int32_t transpose_a, int32_t transpose_b, int32_t num_threads, char* message,
                           int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_float_dtype(dtype);
    check_extent(m, "m");
    check_extent(n, "n");
    check_extent(k, "k");
    check(transpose_a == 0 || transpose_a == 1, "transpose_a: expected 0 or 1, got %d", transpose_a);
    check(transpose_b == 0 || transpose_b == 1, "transpose_b: expected 0 or 1, got %d", transpose_b);
    const int threads = resolve_num_threads(num_threads);
    const int64_t out_count = checked_product({m, n}, "out");
    check_pointer(a, checked_product({m, k}, "a"), "a");
    check_pointer(b, checked_product({k, n}, "b"), "b");
    check_pointer(out, out_count, "out");
    if (out_count == 0) return;
    if (k == 0) {
      const int64_t bytes = out_count * element_size(dtype);
      parallel_for(threads, bytes, 4 * kElementGrain, [&](int64_t begin, int64_t end) {
        std::memset(offset_bytes(out, begin), 0, static_cast<size_t>(end - begin));
      });
      return;
    }
    const Matrix left{a, transpose_a != 0 ? 1 : k, transpose_a != 0 ? m : 1};
    const Matrix right{b, transpose_b != 0 ? k : 1, transpose_b != 0 ? 1 : n};
    thread_local PanelMemory memory;
    Product(out, dtype, m, n, k, left, right, threads).run(memory);
    memory.trim();
  });
}
