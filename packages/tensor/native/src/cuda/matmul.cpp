#include "../internal.hpp"
#include "cublas.hpp"
#include "cuda_call.hpp"

#include <magi/tensor_cuda.h>

namespace magi {
namespace {

cudaDataType cuda_type(int32_t dtype) {
  switch (dtype) {
    case MAGI_BFLOAT16: return CUDA_R_16BF;
    case MAGI_FLOAT16: return CUDA_R_16F;
    case MAGI_FLOAT64: return CUDA_R_64F;
    default: return CUDA_R_32F;
  }
}

}  // namespace
}  // namespace magi

int32_t magi_cuda_matmul(void* out, const void* a, const void* b, int32_t dtype, int64_t m, int64_t n, int64_t k,
                         int32_t transpose_a, int32_t transpose_b, int32_t device, void* stream, char* message,
                         int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_float_dtype(dtype);
    check_extent(m, "m");
    check_extent(n, "n");
    check_extent(k, "k");
    check(transpose_a == 0 || transpose_a == 1, "transpose_a: expected 0 or 1, got %d", transpose_a);
    check(transpose_b == 0 || transpose_b == 1, "transpose_b: expected 0 or 1, got %d", transpose_b);
    const int64_t out_count = checked_product({m, n}, "out");
    check_pointer(a, checked_product({m, k}, "a"), "a");
    check_pointer(b, checked_product({k, n}, "b"), "b");
    check_pointer(out, out_count, "out");
    if (out_count == 0) return;
    use_device(device);
    if (k == 0) {
      const size_t bytes = static_cast<size_t>(out_count * element_size(dtype));
      check_cuda(cudaMemsetAsync(out, 0, bytes, as_stream(stream)), "matmul");
      return;
    }
    // A row-major matrix is its transpose in column-major order, so out^T = op(b)^T op(a)^T is asked for.
    const double one = 1;
    const double zero = 0;
    const float one32 = 1;
    const float zero32 = 0;
    const bool wide = dtype == MAGI_FLOAT64;
    const cudaDataType type = cuda_type(dtype);
    const CublasHandle handle = cublas_handle(device, as_stream(stream));
    check_cublas(
        cublas().gemm(handle, transpose_b != 0 ? kCublasTranspose : kCublasNoTranspose,
                      transpose_a != 0 ? kCublasTranspose : kCublasNoTranspose, n, m, k,
                      wide ? static_cast<const void*>(&one) : &one32, b, type, transpose_b != 0 ? k : n, a, type,
                      transpose_a != 0 ? m : k, wide ? static_cast<const void*>(&zero) : &zero32, out, type, n,
                      wide ? kCublasCompute64F : kCublasCompute32F, /*CUBLAS_GEMM_DEFAULT*/ -1),
        "cublasGemmEx");
  });
}
