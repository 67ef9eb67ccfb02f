// Elements and units: reading rows of any dtype, writing them, and the two kinds of matrix-product step.
// Included inside an instruction set's own namespace (see kernels.inl.hpp).

struct Float32Units {
  static constexpr int kPack = 1;
  static MAGI_INLINE Float dot(Float acc, Float a, Float b) { return Simd::fma(a, b, acc); }
};

#if defined(__AVX512BF16__)
struct Bfloat16Units {
  static constexpr int kPack = 2;
  static MAGI_INLINE Float dot(Float acc, Float a, Float b) {
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
  }
  // Sixteen units, each the pair (even[i], odd[i]), rounded to nearest even.
  static MAGI_INLINE void store_pairs(float* p, Float even, Float odd) {
    const __m512i packed = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi16(order, packed));
  }
  // Two neighbouring rows of `count` bfloat16 as units along the rows. Either may be null: zeros.
  static void interleave(float* out, const void* even, const void* odd, int64_t count) {
    const auto load = [](const void* row, int64_t i) {
      if (row == nullptr) return _mm512_setzero_si512();
      const __m256i* bits = reinterpret_cast<const __m256i*>(static_cast<const uint16_t*>(row) + i);
      return _mm512_cvtepu16_epi32(_mm256_loadu_si256(bits));
    };
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
      _mm512_storeu_si512(out + i, _mm512_or_si512(load(even, i), _mm512_slli_epi32(load(odd, i), 16)));
    }
    const uint16_t* a = static_cast<const uint16_t*>(even);
    const uint16_t* b = static_cast<const uint16_t*>(odd);
    for (; i < count; ++i) {
      const uint32_t unit = (a != nullptr ? a[i] : 0u) | (b != nullptr ? static_cast<uint32_t>(b[i]) << 16 : 0u);
      __builtin_memcpy(out + i, &unit, 4);
    }
  }
  // Sixteen bfloat16, hence eight units along the lanes.
  static MAGI_INLINE void store_row(float* p, Float x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(x));
  }
};
#endif

inline const void* element_at(const void* base, int32_t dtype, int64_t index) {
  return static_cast<const char*>(base) + index * (dtype == MAGI_FLOAT32 ? 4 : 2);
}

// `count` elements of a row, a multiple of 8, as float32.
inline void read_row(float* out, const void* in, int32_t dtype, int64_t count) {
  if (dtype == MAGI_FLOAT32) {
    __builtin_memcpy(out, in, static_cast<size_t>(count) * 4);
    return;
  }
  const uint16_t* bits = static_cast<const uint16_t*>(in);
  int64_t i = 0;
  if (dtype == MAGI_BFLOAT16) {
    for (; i + Simd::kLanes <= count; i += Simd::kLanes) Simd::store(out + i, Simd::load_bfloat16(bits + i));
    for (; i < count; ++i) out[i] = bf16_to_f32(bits[i]);
  } else {
    for (; i + Simd::kLanes <= count; i += Simd::kLanes) Simd::store(out + i, Simd::load_float16(bits + i));
    for (; i < count; ++i) out[i] = f16_to_f32(bits[i]);
  }
}

inline void write_row(void* base, int32_t dtype, int64_t index, const float* in, float scale, int64_t count) {
  if (dtype == MAGI_FLOAT32) {
    float* out = static_cast<float*>(base) + index;
    for (int64_t i = 0; i < count; ++i) out[i] = in[i] * scale;
  } else if (dtype == MAGI_BFLOAT16) {
    uint16_t* out = static_cast<uint16_t*>(base) + index;
    for (int64_t i = 0; i < count; ++i) out[i] = f32_to_bf16(in[i] * scale);
  } else {
    uint16_t* out = static_cast<uint16_t*>(base) + index;
    for (int64_t i = 0; i < count; ++i) out[i] = f32_to_f16(in[i] * scale);
  }
}

// Fetches rows into the second-level cache.
inline void prefetch_rows(const float* first, int64_t stride, int64_t floats, int64_t count) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < floats; i += 16) __builtin_prefetch(first + row * stride + i, 0, 2);
  }
}

inline void prefetch_elements(const void* first, int32_t dtype, int64_t stride, int64_t elements, int64_t count) {
  const int64_t pack = dtype == MAGI_FLOAT32 ? 1 : 2;
  prefetch_rows(static_cast<const float*>(first), stride / pack, elements / pack, count);
}

// A float32 row that nobody reads soon, written without fetching its lines first. False where that is not possible.
inline bool stream_row(float* out, const float* in, float scale, int64_t count) {
  constexpr int64_t kAlignment = 4 * Simd::kLanes;
  if (!Simd::kCanStream || reinterpret_cast<uintptr_t>(out) % kAlignment != 0 || count % Simd::kLanes != 0) return false;
  for (int64_t i = 0; i < count; i += Simd::kLanes) {
    Simd::stream(out + i, Simd::mul(Simd::load(in + i), Simd::broadcast(scale)));
  }
  return true;
}

// One row as units along head_dim. bfloat16 pairs are the row's own bytes.
template <typename Units>
inline void read_units(float* out, const void* in, int32_t dtype, int64_t count) {
  if constexpr (Units::kPack == 2) {
    __builtin_memcpy(out, in, static_cast<size_t>(count) * 2);
  } else {
    read_row(out, in, dtype, count);
  }
}

// out[c, r] = in[r, c] for 32-bit values.
inline void transpose(float* out, int64_t out_stride, const float* in, int64_t in_stride, int64_t rows, int64_t cols) {
  const int64_t whole_rows = Simd::kHasTranspose ? floor_to(rows, Simd::kLanes) : 0;
  const int64_t whole_cols = Simd::kHasTranspose ? floor_to(cols, Simd::kLanes) : 0;
  for (int64_t r = 0; r < whole_rows; r += Simd::kLanes) {
    for (int64_t c = 0; c < whole_cols; c += Simd::kLanes) {
      Simd::transpose(out + c * out_stride + r, out_stride, in + r * in_stride + c, in_stride);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r < whole_rows ? whole_cols : 0; c < cols; ++c) out[c * out_stride + r] = in[r * in_stride + c];
  }
}
