// The inner part of the matrix product, compiled once for each instruction set: packing into panels, and the product of
// two panels in registers.
//
// A panel holds `width` rows of op(a), or columns of op(b), for a stretch of k: for each k, `width` elements side by
// side. One panel element is what one multiply-add lane consumes: a number, or `group` = 2 neighbouring bfloat16 along k.
#ifndef MAGI_TENSOR_GEMM_KERNEL_HPP
#define MAGI_TENSOR_GEMM_KERNEL_HPP

#include <magi/cpu_features.hpp>

#include <cstdint>

namespace magi {

struct GemmKernel {
  int64_t max_rows;      // rows of c in the register tile
  int64_t cols;          // columns of c in the register tile
  int64_t group;         // numbers of k in one panel element
  int64_t element_size;  // bytes of a panel element
  int64_t result_size;   // bytes of an element of c: float, or double for float64

  // Packs `width` x `depth` numbers, in[w * width_stride + d * depth_stride], one of the strides being 1, into a panel
  // that is `panel_width` wide; what is missing becomes zero.
  void (*pack)(void* panel, const void* in, int64_t width, int64_t panel_width, int64_t depth, int64_t width_stride,
               int64_t depth_stride);

  // c [rows, cols] = or += the product of a panel that is `rows` wide and one that is `this->cols` wide, over `depth`
  // panel elements. Columns from `cols` on are left alone.
  void (*multiply)(void* c, int64_t c_stride, const void* a_panel, const void* b_panel, int64_t depth, int64_t rows,
                   int64_t cols, bool accumulate);
};

// One table for each instruction set, indexed by dtype: float32, bfloat16, float16, float64.
const GemmKernel* gemm_kernels_portable();
const GemmKernel* gemm_kernels_avx2();
const GemmKernel* gemm_kernels_avx512();
const GemmKernel* gemm_kernels_avx512_bf16();

}  // namespace magi

#endif
