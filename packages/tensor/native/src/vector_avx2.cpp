#define MAGI_VECTOR_KERNELS vector_kernels_avx2
#include "vector_kernels_impl.hpp"
