// cuBLAS, found and loaded at its first use: this library neither ships it nor links to it.
#ifndef MAGI_TENSOR_CUBLAS_HPP
#define MAGI_TENSOR_CUBLAS_HPP

#include <cuda_runtime_api.h>
#include <library_types.h>

#include <cstdint>
#include <string>

namespace magi {

// The values of cublas_api.h that are used here.
constexpr int kCublasNoTranspose = 0;
constexpr int kCublasTranspose = 1;
constexpr int kCublasCompute32F = 68;
constexpr int kCublasCompute64F = 70;

using CublasHandle = void*;

struct Cublas {
  std::string path;
  int version = 0;  // 130000 for 13.0.0
  int (*create)(CublasHandle*);
  int (*destroy)(CublasHandle);
  int (*set_stream)(CublasHandle, cudaStream_t);
  int (*set_math_mode)(CublasHandle, int);
  int (*get_property)(int part, int*);
  const char* (*status_string)(int);
  // cublasGemmEx_64, on column-major matrices
  int (*gemm)(CublasHandle, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const void* alpha, const void* a,
              cudaDataType a_type, int64_t lda, const void* b, cudaDataType b_type, int64_t ldb, const void* beta, void* c,
              cudaDataType c_type, int64_t ldc, int compute_type, int algorithm);
};

// Loads cuBLAS; MAGI_UNSUPPORTED, with what was tried, if there is none.
const Cublas& cublas();

// The handle for a stream of a device, which is the thread's current one. Each stream has its own, and with it cuBLAS's
// working memory, so that products on different streams do not meet.
CublasHandle cublas_handle(int32_t device, cudaStream_t stream);

// Before a stream is destroyed.
void release_cublas(int32_t device, cudaStream_t stream);

void check_cublas(int status, const char* what);

}  // namespace magi

#endif
