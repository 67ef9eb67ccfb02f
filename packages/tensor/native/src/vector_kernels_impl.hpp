// The loops behind VectorKernels. Included once by each vector_<isa>.cpp, which defines MAGI_VECTOR_KERNELS as the name
// of its table's function.
#include "element.hpp"
#include "philox.hpp"
#include "vector_kernels.hpp"

#include <magi/tensor.h>

#include <cstring>

// `out` may be the same array as an input, never shifted against it: no iteration depends on another.
#if defined(__clang__)
#define MAGI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define MAGI_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define MAGI_INDEPENDENT __pragma(loop(ivdep))
#else
#define MAGI_INDEPENDENT
#endif

namespace magi {
namespace {

template <typename Out, typename In>
void cast(void* out_data, const void* in_data, int64_t count) {
  Out* out = static_cast<Out*>(out_data);
  const In* in = static_cast<const In*>(in_data);
  if constexpr (std::is_same_v<Out, In>) {
    std::memcpy(out, in, static_cast<size_t>(count) * sizeof(In));
  } else {
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) out[i] = convert<Out>(in[i]);
  }
}

// Two's complement arithmetic that wraps, free of undefined behaviour.
template <int op, typename T>
inline T apply(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;
    const Unsigned x = static_cast<Unsigned>(a);
    const Unsigned y = static_cast<Unsigned>(b);
    if constexpr (op == MAGI_ADD) return static_cast<T>(x + y);
    else if constexpr (op == MAGI_SUB) return static_cast<T>(x - y);
    else if constexpr (op == MAGI_MUL) return static_cast<T>(x * y);
    else return b == -1 ? static_cast<T>(0 - x) : static_cast<T>(a / b);
  } else {
    if constexpr (op == MAGI_ADD) return a + b;
    else if constexpr (op == MAGI_SUB) return a - b;
    else if constexpr (op == MAGI_MUL) return a * b;
    else return a / b;
  }
}

template <int op, typename T>
bool binary(void* out_data, const void* a_data, int64_t a_stride, const void* b_data, int64_t b_stride, int64_t count) {
  T* out = static_cast<T*>(out_data);
  const T* a = static_cast<const T*>(a_data);
  const T* b = static_cast<const T*>(b_data);
  const auto one = [](T x, T y) { return convert<T>(apply<op>(load(x), load(y))); };
  if constexpr (std::is_integral_v<T> && op == MAGI_DIV) {
    const int64_t divisors = b_stride == 0 && count > 0 ? 1 : count;
    for (int64_t i = 0; i < divisors; ++i) {
      if (b[i * b_stride] == 0) return false;
    }
  }
  if (a_stride == 1 && b_stride == 1) {
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) out[i] = one(a[i], b[i]);
  } else if (a_stride == 1 && b_stride == 0 && count > 0) {
    const T y = b[0];
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) out[i] = one(a[i], y);
  } else if (a_stride == 0 && b_stride == 1 && count > 0) {
    const T x = a[0];
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) out[i] = one(x, b[i]);
  } else {
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) out[i] = one(a[i * a_stride], b[i * b_stride]);
  }
  return true;
}

template <typename T>
void scale(void* out_data, const void* in_data, int64_t count, double factor, double shift) {
  T* out = static_cast<T*>(out_data);
  const T* in = static_cast<const T*>(in_data);
  if constexpr (std::is_integral_v<T>) {
    const uint64_t f = static_cast<uint64_t>(static_cast<int64_t>(factor));
    const uint64_t s = static_cast<uint64_t>(static_cast<int64_t>(shift));
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
      out[i] = static_cast<T>(static_cast<uint64_t>(static_cast<int64_t>(in[i])) * f + s);
    }
  } else {
    const auto f = static_cast<Compute<T>>(factor);
    const auto s = static_cast<Compute<T>>(shift);
    MAGI_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) out[i] = convert<T>(load(in[i]) * f + s);
  }
}

template <typename Accumulator, typename T>
void accumulate(void* accumulator_data, const void* in_data, int64_t count) {
  Accumulator* accumulator = static_cast<Accumulator*>(accumulator_data);
  const T* in = static_cast<const T*>(in_data);
  MAGI_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_integral_v<Accumulator>) {
      accumulator[i] = apply<MAGI_ADD>(accumulator[i], static_cast<Accumulator>(in[i]));
    } else {
      accumulator[i] += load(in[i]);
    }
  }
}

// The sum of 1 to kSumBlock elements: 64 running sums, then a tree over them. Memory is read in order, which hardware
// prefetching rewards; elements of another type are converted first, in a loop that vectorises by itself.
template <typename Accumulator, typename T>
inline Accumulator sum_block(const T* in, int64_t count) {
  if constexpr (!std::is_same_v<Accumulator, T>) {
    Accumulator converted[kSumBlock];
    for (int64_t i = 0; i < count; ++i) converted[i] = static_cast<Accumulator>(load(in[i]));
    return sum_block<Accumulator>(converted, count);
  } else {
    constexpr int kLanes = 64;
    Accumulator lanes[kLanes] = {};
    const int64_t whole = count / kLanes * kLanes;
    for (int64_t i = 0; i < whole; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = apply<MAGI_ADD>(lanes[lane], in[i + lane]);
    }
    for (int64_t i = whole; i < count; ++i) lanes[i - whole] = apply<MAGI_ADD>(lanes[i - whole], in[i]);
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; ++lane) lanes[lane] = apply<MAGI_ADD>(lanes[lane], lanes[lane + width]);
    }
    return lanes[0];
  }
}

template <typename T>
double sum_floats(const void* in, int64_t count) {
  return static_cast<double>(sum_block<Compute<T>>(static_cast<const T*>(in), count));
}

template <typename T>
int64_t sum_integers(const void* in, int64_t count) {
  return sum_block<int64_t>(static_cast<const T*>(in), count);
}

// Random words are made a batch at a time, word by word, so that both loops vectorise.
constexpr int kBatch = 64;
struct Words {
  uint32_t x[4][kBatch];
};

inline void random_words(Words& words, uint64_t seed, uint64_t first) {
  for (int i = 0; i < kBatch; ++i) {
    const PhiloxBlock block = philox4x32_10(seed, first + static_cast<uint64_t>(i));
    for (int w = 0; w < 4; ++w) words.x[w][i] = block.x[w];
  }
}

void normals(float* out, uint64_t seed, uint64_t first, int64_t num_blocks) {
  Words words;
  float values[4][kBatch];
  for (int64_t begin = 0; begin < num_blocks; begin += kBatch) {
    random_words(words, seed, first + static_cast<uint64_t>(begin));
    for (int i = 0; i < kBatch; ++i) box_muller(words.x[0][i], words.x[1][i], &values[0][i], &values[1][i]);
    for (int i = 0; i < kBatch; ++i) box_muller(words.x[2][i], words.x[3][i], &values[2][i], &values[3][i]);
    const int64_t size = num_blocks - begin < kBatch ? num_blocks - begin : kBatch;
    for (int64_t i = 0; i < size; ++i) {
      for (int w = 0; w < 4; ++w) out[(begin + i) * 4 + w] = values[w][i];
    }
  }
}

void uniforms(double* out, uint64_t seed, uint64_t first, int64_t num_blocks, double low, double width) {
  Words words;
  for (int64_t begin = 0; begin < num_blocks; begin += kBatch) {
    random_words(words, seed, first + static_cast<uint64_t>(begin));
    const int64_t size = num_blocks - begin < kBatch ? num_blocks - begin : kBatch;
    for (int64_t i = 0; i < size; ++i) {
      for (int w = 0; w < 4; ++w) {
        out[(begin + i) * 4 + w] = low + width * (static_cast<double>(words.x[w][i]) * 0x1p-32);
      }
    }
  }
}

#define MAGI_CAST_TO(Out) \
  { cast<Out, float>, cast<Out, BFloat16>, cast<Out, Float16>, cast<Out, double>, cast<Out, int32_t>, \
    cast<Out, int64_t> }
#define MAGI_BINARY(op) \
  { binary<op, float>, binary<op, BFloat16>, binary<op, Float16>, binary<op, double>, binary<op, int32_t>, \
    binary<op, int64_t> }

constexpr VectorKernels kKernels = {
    {MAGI_CAST_TO(float), MAGI_CAST_TO(BFloat16), MAGI_CAST_TO(Float16), MAGI_CAST_TO(double),
     MAGI_CAST_TO(int32_t), MAGI_CAST_TO(int64_t)},
    {MAGI_BINARY(MAGI_ADD), MAGI_BINARY(MAGI_SUB), MAGI_BINARY(MAGI_MUL), MAGI_BINARY(MAGI_DIV)},
    {scale<float>, scale<BFloat16>, scale<Float16>, scale<double>, scale<int32_t>, scale<int64_t>},
    {accumulate<float, float>, accumulate<float, BFloat16>, accumulate<float, Float16>, accumulate<double, double>,
     accumulate<int64_t, int32_t>, accumulate<int64_t, int64_t>},
    {sum_floats<float>, sum_floats<BFloat16>, sum_floats<Float16>, sum_floats<double>},
    {sum_integers<int32_t>, sum_integers<int64_t>},
    normals,
    uniforms,
};

}  // namespace

const VectorKernels& MAGI_VECTOR_KERNELS() { return kKernels; }

}  // namespace magi
