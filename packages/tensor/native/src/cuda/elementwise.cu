#include "launch.cuh"

#include <magi/tensor.h>

#include <cmath>

namespace magi {
namespace {

constexpr int kMaxRank = 8;

// Integers wrap; they are not divided.
template <int op, typename T>
struct Apply {
  __device__ T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      using Unsigned = std::make_unsigned_t<T>;
      const Unsigned x = static_cast<Unsigned>(a);
      const Unsigned y = static_cast<Unsigned>(b);
      return static_cast<T>(op == MAGI_ADD ? x + y : op == MAGI_SUB ? x - y : x * y);
    } else {
      const Compute<T> x = load(a);
      const Compute<T> y = load(b);
      return convert<T>(op == MAGI_ADD ? x + y : op == MAGI_SUB ? x - y : op == MAGI_MUL ? x * y : x / y);
    }
  }
};

// The dimensions of a broadcast operation, those of size 1 dropped and neighbours that step evenly joined.
struct Broadcast {
  int rank = 0;
  int64_t sizes[kMaxRank];
  int64_t a_strides[kMaxRank];
  int64_t b_strides[kMaxRank];

  void add(int64_t size, int64_t a_stride, int64_t b_stride) {
    if (size == 1) return;
    const int last = rank - 1;
    if (rank > 0 && a_strides[last] == a_stride * size && b_strides[last] == b_stride * size) {
      sizes[last] *= size;
    } else {
      sizes[++rank - 1] = size;
    }
    a_strides[rank - 1] = a_stride;
    b_strides[rank - 1] = b_stride;
  }

  // Whether kPack neighbours in a row of each operand are one pack, or all the same.
  bool is_packable(bool a_aligned, bool b_aligned) const {
    return sizes[rank - 1] % kPack == 0 && has_packs(a_strides, a_aligned) && has_packs(b_strides, b_aligned);
  }

  bool has_packs(const int64_t* strides, bool aligned) const {
    if (strides[rank - 1] == 0) return true;
    for (int d = 0; d < rank - 1; ++d) aligned = aligned && strides[d] % kPack == 0;
    return aligned && strides[rank - 1] == 1;
  }

  bool is_contiguous() const { return rank == 0 || (rank == 1 && a_strides[0] == 1 && b_strides[0] == 1); }
};

template <typename T, typename Function>
__global__ void binary_kernel(T* out, const T* a, const T* b, int64_t count, bool packed, Function function) {
  const int64_t first = thread_index() * kPack;
  if (packed && first + kPack <= count) {
    const Pack<T> left = *reinterpret_cast<const Pack<T>*>(a + first);
    const Pack<T> right = *reinterpret_cast<const Pack<T>*>(b + first);
    Pack<T> results;
#pragma unroll
    for (int i = 0; i < kPack; ++i) results.elements[i] = function(left.elements[i], right.elements[i]);
    *reinterpret_cast<Pack<T>*>(out + first) = results;
  } else {
    for (int64_t i = first; i < first + kPack && i < count; ++i) out[i] = function(a[i], b[i]);
  }
}

template <typename Index>
__device__ void locate(const Broadcast& shape, Index element, int64_t* a, int64_t* b) {
  for (int d = shape.rank - 1; d > 0; --d) {
    const Index size = static_cast<Index>(shape.sizes[d]);
    const int64_t at = static_cast<int64_t>(element % size);
    element /= size;
    *a += at * shape.a_strides[d];
    *b += at * shape.b_strides[d];
  }
  *a += static_cast<int64_t>(element) * shape.a_strides[0];
  *b += static_cast<int64_t>(element) * shape.b_strides[0];
}

// `width` neighbours in a row from `data` on: in steps of 1, or all the same.
template <int width, typename T>
__device__ void load_row(T* values, const T* data, int64_t stride) {
  if (width == kPack && stride == 1) {
    *reinterpret_cast<Pack<T>*>(values) = *reinterpret_cast<const Pack<T>*>(data);
  } else {
#pragma unroll
    for (int i = 0; i < width; ++i) values[i] = *data;
  }
}

// A thread computes `width` neighbours in a row: 1, or kPack where rows and addresses allow for it.
template <int width, typename T, typename Function>
__global__ void broadcast_kernel(T* out, const T* a, const T* b, int64_t count, Broadcast shape, Function function) {
  const int64_t element = thread_index() * width;
  if (element >= count) return;
  int64_t a_at = 0;
  int64_t b_at = 0;
  // Division of 64 bits is slow.
  if (count <= UINT32_MAX) locate(shape, static_cast<uint32_t>(element), &a_at, &b_at);
  else locate(shape, element, &a_at, &b_at);
  Pack<T> left;
  Pack<T> right;
  load_row<width>(left.elements, a + a_at, shape.a_strides[shape.rank - 1]);
  load_row<width>(right.elements, b + b_at, shape.b_strides[shape.rank - 1]);
#pragma unroll
  for (int i = 0; i < width; ++i) left.elements[i] = function(left.elements[i], right.elements[i]);
  if constexpr (width == kPack) *reinterpret_cast<Pack<T>*>(out + element) = left;
  else out[element] = left.elements[0];
}

template <int op, typename T>
void binary(cudaStream_t stream, T* out, const T* a, const T* b, int64_t count, const Broadcast& shape) {
  using Function = Apply<op, T>;
  if (shape.is_contiguous()) {
    const bool packed = is_packable(out) && is_packable(a) && is_packable(b);
    launch(stream, "binary", (count + kPack - 1) / kPack, binary_kernel<T, Function>, out, a, b, count, packed, Function{});
  } else if (is_packable(out) && shape.is_packable(is_packable(a), is_packable(b))) {
    launch(stream, "binary", count / kPack, broadcast_kernel<kPack, T, Function>, out, a, b, count, shape, Function{});
  } else {
    launch(stream, "binary", count, broadcast_kernel<1, T, Function>, out, a, b, count, shape, Function{});
  }
}

template <typename T>
struct Scale {
  Compute<T> factor;
  Compute<T> shift;
  __device__ T operator()(T value) const {
    if constexpr (std::is_integral_v<T>) {
      // Modulo 2^64, and the low bits of that: integers wrap.
      return static_cast<T>(static_cast<uint64_t>(value) * static_cast<uint64_t>(factor) + static_cast<uint64_t>(shift));
    } else {
      return convert<T>(load(value) * factor + shift);
    }
  }
};

}  // namespace
}  // namespace magi

int32_t magi_cuda_binary(int32_t op, void* out, const void* a, const void* b, int32_t dtype, int32_t rank, const int64_t* sizes,
                         const int64_t* a_strides, const int64_t* b_strides, int32_t device, void* stream, char* message,
                         int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check(op >= MAGI_ADD && op <= MAGI_DIV, "op: expected one of MagiBinaryOp (0 to 3), got %d", op);
    check_dtype(dtype);
    check(rank >= 0 && rank <= kMaxRank, "rank: expected 0 to %d, got %d", kMaxRank, rank);
    check((sizes != nullptr && a_strides != nullptr && b_strides != nullptr) || rank == 0,
          "sizes, a_strides, b_strides: expected %d values each, got NULL", rank);
    if (op == MAGI_DIV && is_integer(dtype)) fail(MAGI_UNSUPPORTED, "dtype: integers are not divided");
    int64_t count = 1;
    Broadcast shape;
    for (int d = 0; d < rank; ++d) {
      check_extent(sizes[d], "sizes");
      check_extent(a_strides[d], "a_strides");
      check_extent(b_strides[d], "b_strides");
      count = checked_product({count, sizes[d]}, "sizes");
      shape.add(sizes[d], a_strides[d], b_strides[d]);
    }
    if (count == 0) return;
    check_pointer(out, count, "out");
    check_pointer(a, count, "a");
    check_pointer(b, count, "b");
    use_device(device);
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      T* const to = static_cast<T*>(out);
      const T* const left = static_cast<const T*>(a);
      const T* const right = static_cast<const T*>(b);
      if (op == MAGI_ADD) return binary<MAGI_ADD>(as_stream(stream), to, left, right, count, shape);
      if (op == MAGI_SUB) return binary<MAGI_SUB>(as_stream(stream), to, left, right, count, shape);
      if (op == MAGI_MUL) return binary<MAGI_MUL>(as_stream(stream), to, left, right, count, shape);
      if constexpr (!std::is_integral_v<T>) binary<MAGI_DIV>(as_stream(stream), to, left, right, count, shape);
    });
  });
}

int32_t magi_cuda_scale(void* out, const void* a, int64_t count, int32_t dtype, double scale, double shift, int32_t device,
                        void* stream, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    check_dtype(dtype);
    check_extent(count, "count");
    checked_product({count}, "count");
    check_pointer(out, count, "out");
    check_pointer(a, count, "a");
    if (is_integer(dtype)) {
      for (const double value : {scale, shift}) {
        check(value == std::floor(value) && std::fabs(value) < 0x1p63,
              "scale, shift: expected whole numbers for an integer dtype, got %g and %g", scale, shift);
      }
    }
    use_device(device);
    visit_dtype(dtype, [&](auto tag) {
      using T = decltype(tag);
      // Integers that exceed int32 wrap in the end, as if they had been 64 bits wide all along.
      const auto number = [](double value) {
        if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<int64_t>(value));
        else return static_cast<Compute<T>>(value);
      };
      map(as_stream(stream), "scale", static_cast<T*>(out), static_cast<const T*>(a), count,
          Scale<T>{number(scale), number(shift)});
    });
  });
}
