#include "internal.hpp"
#include "vector_kernels.hpp"

#include <magi/tensor.h>

int32_t magi_tensor_cast(void* out, int32_t out_dtype, const void* in, int32_t in_dtype, int64_t count,
                         int32_t num_threads, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(out_dtype, "out_dtype");
    check_dtype(in_dtype, "in_dtype");
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    check_pointer(in, count, "in");
    const auto convert = vector_kernels().cast[out_dtype][in_dtype];
    parallel_for(resolve_num_threads(num_threads), count, kElementGrain, [&](int64_t begin, int64_t end) {
      convert(offset_bytes(out, begin * element_size(out_dtype)), offset_bytes(in, begin * element_size(in_dtype)),
              end - begin);
    });
  });
}
