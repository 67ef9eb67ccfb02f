/* The C ABI of the CPU tensor operations (libmagi_tensor_cpu). Shapes and offsets count elements, never bytes. Every function
 * checks its scalars; the caller vouches for the pointers. Threads never change a result: work is split the same way for
 * any number of them. num_threads 0 stands for the library's default. */
#ifndef MAGI_TENSOR_H
#define MAGI_TENSOR_H

#include <magi/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAGI_TENSOR_ABI_VERSION 1

enum MagiBinaryOp { MAGI_ADD = 0, MAGI_SUB = 1, MAGI_MUL = 2, MAGI_DIV = 3 };

MAGI_API int32_t magi_tensor_abi_version(void);
/* Threads that calls with num_threads 0 use: MAGI_ATTENTION_NUM_THREADS, else the number of usable cores. */
MAGI_API int32_t magi_tensor_default_num_threads(void);
/* Name of the instruction set in use. A static string. */
MAGI_API const char* magi_tensor_isa(void);

/* out[i] = value, for any dtype; integer dtypes take whole numbers that fit. */
MAGI_API int32_t magi_tensor_fill(void* out, int64_t count, int32_t dtype, double value, int32_t num_threads, char* message,
                                  int32_t message_size);
/* out[i] = start + i * step, computed in float64; integer dtypes take whole numbers, and all values must fit. */
MAGI_API int32_t magi_tensor_arange(void* out, int64_t count, int32_t dtype, double start, double step, int32_t num_threads,
                                    char* message, int32_t message_size);
/* Standard normal numbers: element i depends on (seed, offset + i) alone (Philox4x32-10, Box-Muller in float32), rounded to
 * dtype; the same bits on every instruction set. Float dtypes. */
MAGI_API int32_t magi_tensor_randn(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, int32_t num_threads,
                                   char* message, int32_t message_size);
/* Uniform in [low, high): element i depends on (seed, offset + i), low and high alone (the same generator; 32 random bits an
 * element), rounded to dtype and kept inside the interval. Float dtypes. */
MAGI_API int32_t magi_tensor_rand_uniform(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, double low,
                                          double high, int32_t num_threads, char* message, int32_t message_size);
/* Conversion between any two dtypes: to nearest even for floats, NaN and infinities kept. To integers: truncated, clamped to
 * the range, NaN to 0. */
MAGI_API int32_t magi_tensor_cast(void* out, int32_t out_dtype, const void* in, int32_t in_dtype, int64_t count,
                                  int32_t num_threads, char* message, int32_t message_size);
/* out = a op b with broadcasting, all of one dtype. sizes [rank], and the strides of a and b (0 where broadcast); out is dense.
 * rank <= 8. bfloat16 and float16 compute in float32 and round once. Integers wrap; their quotient is truncated, and
 * division by zero an error. out may be a or b where that one is dense. */
MAGI_API int32_t magi_tensor_binary(int32_t op, void* out, const void* a, const void* b, int32_t dtype, int32_t rank,
                                    const int64_t* sizes, const int64_t* a_strides, const int64_t* b_strides,
                                    int32_t num_threads, char* message, int32_t message_size);
/* out[i] = a[i] * scale + shift, in float32 (float64 for float64). Integers take whole numbers, and wrap. out may be a. */
MAGI_API int32_t magi_tensor_scale(void* out, const void* a, int64_t count, int32_t dtype, double scale, double shift,
                                   int32_t num_threads, char* message, int32_t message_size);
/* in [outer, reduced, inner] -> out [outer, inner]: sum times scale (1 for sum, 1/reduced for mean), in float32 or wider, by
 * a fixed tree. Floats keep the dtype; integers sum into int64, wrap, and take scale 1 only. */
MAGI_API int32_t magi_tensor_sum(void* out, const void* in, int32_t dtype, int64_t outer, int64_t reduced, int64_t inner,
                                 double scale, int32_t num_threads, char* message, int32_t message_size);
/* Copies a block [rows, row_elements] between buffers with row strides: narrow, cat and pad along any dimension. element_size
 * is 2, 4 or 8; out_stride >= row_elements; in_stride may be 0 (the row is repeated). The buffers do not overlap. */
MAGI_API int32_t magi_tensor_copy_rows(void* out, int64_t out_stride, const void* in, int64_t in_stride, int64_t rows,
                                       int64_t row_elements, int32_t element_size, int32_t num_threads, char* message,
                                       int32_t message_size);
/* out[o, i, :] = in[o, index[i], :] with in [outer, in_rows, inner]. index is int64, 0 <= index < in_rows, checked. */
MAGI_API int32_t magi_tensor_index_select(void* out, const void* in, const int64_t* index, int64_t outer, int64_t in_rows,
                                          int64_t out_rows, int64_t inner, int32_t element_size, int32_t num_threads,
                                          char* message, int32_t message_size);
/* The transpose: out[o, index[i], :] += in[o, i, :], in ascending i; out [outer, out_rows, inner] is zeroed first. Float dtypes,
 * accumulated in float32 or wider and rounded once. */
MAGI_API int32_t magi_tensor_index_add(void* out, const void* in, const int64_t* index, int32_t dtype, int64_t outer,
                                       int64_t out_rows, int64_t in_rows, int64_t inner, int32_t num_threads, char* message,
                                       int32_t message_size);
/* out [m, n] = op(a) op(b), with op(a) [m, k] stored [m, k] or, transposed, [k, m]; likewise b. Float dtypes; float32 accumulation
 * (float64 for float64), rounded once. Where avx512-bf16 is in use, subnormal bfloat16 inputs count as zero. */
MAGI_API int32_t magi_tensor_matmul(void* out, const void* a, const void* b, int32_t dtype, int64_t m, int64_t n, int64_t k,
                                    int32_t transpose_a, int32_t transpose_b, int32_t num_threads, char* message,
                                    int32_t message_size);

#ifdef __cplusplus
}
#endif

#endif
