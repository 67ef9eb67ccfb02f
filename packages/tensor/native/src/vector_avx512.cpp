#define MAGI_VECTOR_KERNELS vector_kernels_avx512
#include "vector_kernels_impl.hpp"
