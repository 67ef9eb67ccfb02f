// The part of cuBLAS that the libraries load: products of matrices, in double precision within.
#include <cstdint>
#include <cstring>
#include <vector>

#include <library_types.h>

#include "emulator/numbers.hpp"

namespace {

size_t element_bytes(cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

double load(const char* place, cudaDataType type) {
  uint16_t bits;
  float single;
  double value;
  switch (type) {
    case CUDA_R_64F: std::memcpy(&value, place, 8); return value;
    case CUDA_R_32F: std::memcpy(&single, place, 4); return single;
    default:
      std::memcpy(&bits, place, 2);
      return type == CUDA_R_16BF ? emulator::from_bfloat16(bits) : emulator::from_half(bits);
  }
}

void store(char* place, cudaDataType type, double value) {
  const auto single = static_cast<float>(value);
  const uint16_t bits = type == CUDA_R_16BF ? emulator::to_bfloat16(single) : emulator::to_half(single);
  switch (type) {
    case CUDA_R_64F: std::memcpy(place, &value, 8); break;
    case CUDA_R_32F: std::memcpy(place, &single, 4); break;
    default: std::memcpy(place, &bits, 2);
  }
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) {
  *handle = new char;
  return 0;
}
int cublasDestroy_v2(void* handle) {
  delete static_cast<char*>(handle);
  return 0;
}
int cublasSetStream_v2(void*, void*) { return 0; }
int cublasSetMathMode(void*, int) { return 0; }
int cublasGetProperty(int part, int* value) {
  *value = part == 0 ? 13 : 0;
  return 0;
}
const char* cublasGetStatusString(int) { return "an error of the CUDA emulator"; }

// Column-major. alpha is 1 and beta 0: no other is used.
int cublasGemmEx_64(void*, int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k, const void*, const char* a,
                    cudaDataType a_type, int64_t lda, const char* b, cudaDataType b_type, int64_t ldb, const void*, char* c,
                    cudaDataType c_type, int64_t ldc, int, int) {
  const auto read = [](const char* matrix, cudaDataType type, int64_t leading, bool transposed, int64_t rows, int64_t cols) {
    std::vector<double> values(static_cast<size_t>(rows * cols));
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) {
        const int64_t at = transposed ? col + row * leading : row + col * leading;
        values[static_cast<size_t>(row * cols + col)] = load(matrix + at * static_cast<int64_t>(element_bytes(type)), type);
      }
    }
    return values;
  };
  const std::vector<double> left = read(a, a_type, lda, transpose_a != 0, m, k);
  const std::vector<double> right = read(b, b_type, ldb, transpose_b != 0, k, n);
  std::vector<double> row_sums(static_cast<size_t>(n));
  for (int64_t row = 0; row < m; ++row) {
    row_sums.assign(row_sums.size(), 0.0);
    for (int64_t i = 0; i < k; ++i) {
      const double factor = left[static_cast<size_t>(row * k + i)];
      for (int64_t col = 0; col < n; ++col) row_sums[static_cast<size_t>(col)] += factor * right[static_cast<size_t>(i * n + col)];
    }
    for (int64_t col = 0; col < n; ++col) {
      store(c + (row + col * ldc) * static_cast<int64_t>(element_bytes(c_type)), c_type, row_sums[static_cast<size_t>(col)]);
    }
  }
  return 0;
}

}  // extern "C"
