// Eight lanes: AVX2, FMA and F16C. Included inside an instruction set's own namespace (see kernels.inl.hpp).

struct Simd {
  static constexpr int kLanes = 8;
  using Float = __m256;
  using Int = __m256i;
  using Mask = __m256;

  static Float zero() { return _mm256_setzero_ps(); }
  static Float broadcast(float x) { return _mm256_set1_ps(x); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
  // Past the caches, to an address that is a multiple of the vector's size; publish() makes it visible to other threads.
  static constexpr bool kCanStream = true;
  static void stream(float* p, Float x) { _mm256_stream_ps(p, x); }
  static void publish() { _mm_sfence(); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  // Where either is NaN the result is b: callers order the operands so that NaN survives.
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float abs(Float a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Mask less(Float a, Float b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Mask equal(Float a, Float b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static Mask differ(Float a, Float b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
  static bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
  static Float select(Mask m, Float yes, Float no) { return _mm256_blendv_ps(no, yes, m); }

  static Int load_int(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  // Lanes whose [low, high) holds x.
  static Mask within(Int low, Int high, int32_t x) {
    const Int v = _mm256_set1_epi32(x);
    return _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_cmpgt_epi32(low, v), _mm256_cmpgt_epi32(high, v)));
  }
  static Mask either(Mask a, Mask b) { return _mm256_or_ps(a, b); }

  static Float round(Float x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x * 2^n for integral n from -127 on; -127 gives zero.
  static Float scale_by_power_of_two(Float x, Float n) {
    const Int exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(x, _mm256_castsi256_ps(exponent));
  }

  static Float load_bfloat16(const uint16_t* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static Float load_float16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  static constexpr bool kHasTranspose = false;
  static void transpose(float*, int64_t, const float*, int64_t) {}
};
