#include "launch.cuh"

namespace magi {
namespace {

template <typename Out, typename In>
struct Convert {
  __device__ Out operator()(In value) const { return convert<Out>(value); }
};

}  // namespace
}  // namespace magi

int32_t magi_cuda_cast(void* out, int32_t out_dtype, const void* in, int32_t in_dtype, int64_t count, int32_t device,
                       void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(out_dtype, "out_dtype");
    check_dtype(in_dtype, "in_dtype");
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    check_pointer(in, count, "in");
    if (count == 0) return;
    use_device(device);
    if (out_dtype == in_dtype) {
      const size_t bytes = static_cast<size_t>(count * element_size(in_dtype));
      check_cuda(cudaMemcpyAsync(out, in, bytes, cudaMemcpyDeviceToDevice, as_stream(stream)), "cast");
      return;
    }
    visit_dtype(out_dtype, [&](auto out_tag) {
      visit_dtype(in_dtype, [&](auto in_tag) {
        using Out = decltype(out_tag);
        using In = decltype(in_tag);
        if constexpr (!std::is_same_v<Out, In>) {
          map(as_stream(stream), "cast", static_cast<Out*>(out), static_cast<const In*>(in), count, Convert<Out, In>{});
        }
      });
    });
  });
}
