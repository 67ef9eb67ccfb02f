// Loops over contiguous elements, compiled once for each instruction set and chosen at run time. They use plain IEEE
// operations without contraction, so every instruction set gives the same bits.
#ifndef MAGI_TENSOR_VECTOR_KERNELS_HPP
#define MAGI_TENSOR_VECTOR_KERNELS_HPP

#include <cstdint>

namespace magi {

// Longest run that `sum_floats` and `sum_integers` take.
constexpr int64_t kSumBlock = 512;

// Tables are indexed by MagiDType, that of `cast` by [out][in], that of `binary` by [MagiBinaryOp][dtype].
struct VectorKernels {
  void (*cast[6][6])(void* out, const void* in, int64_t count);
  // out[i] = a[i * a_stride] op b[i * b_stride]; false when an integer is divided by zero.
  bool (*binary[4][6])(void* out, const void* a, int64_t a_stride, const void* b, int64_t b_stride, int64_t count);
  // Integers take whole numbers in the range of int64, and wrap.
  void (*scale[6])(void* out, const void* in, int64_t count, double scale, double shift);
  // accumulator[i] += in[i], in float for float32 and narrower, double for float64, int64 for integers.
  void (*accumulate[6])(void* accumulator, const void* in, int64_t count);
  // Sums of 1 to kSumBlock elements by a fixed tree, in float for float32 and narrower.
  double (*sum_floats[4])(const void* in, int64_t count);
  int64_t (*sum_integers[2])(const void* in, int64_t count);  // int32, int64
  // The outputs of Philox blocks first .. first + num_blocks, four numbers each.
  void (*normals)(float* out, uint64_t seed, uint64_t first, int64_t num_blocks);
  void (*uniforms)(double* out, uint64_t seed, uint64_t first, int64_t num_blocks, double low, double width);
};

const VectorKernels& vector_kernels_portable();
const VectorKernels& vector_kernels_avx2();
const VectorKernels& vector_kernels_avx512();

// The table for the instruction set in use.
const VectorKernels& vector_kernels();

}  // namespace magi

#endif
