#define MAGI_VECTOR_KERNELS vector_kernels_portable
#include "vector_kernels_impl.hpp"
