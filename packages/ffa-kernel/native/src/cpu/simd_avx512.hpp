// Sixteen lanes: AVX-512 F, BW, DQ, VL. Included inside an instruction set's own namespace (see kernels.inl.hpp).

struct Simd {
  static constexpr int kLanes = 16;
  using Float = __m512;
  using Int = __m512i;
  using Mask = __mmask16;

  static Float zero() { return _mm512_setzero_ps(); }
  static Float broadcast(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  // Past the caches, to an address that is a multiple of the vector's size; publish() makes it visible to other threads.
  static constexpr bool kCanStream = true;
  static void stream(float* p, Float x) { _mm512_stream_ps(p, x); }
  static void publish() { _mm_sfence(); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  // Where either is NaN the result is b: callers order the operands so that NaN survives.
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float abs(Float a) { return _mm512_abs_ps(a); }
  static Mask less(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Mask equal(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static Mask differ(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
  static bool any(Mask m) { return m != 0; }
  static Float select(Mask m, Float yes, Float no) { return _mm512_mask_blend_ps(m, no, yes); }

  static Int load_int(const int32_t* p) { return _mm512_loadu_si512(p); }
  // Lanes whose [low, high) holds x.
  static Mask within(Int low, Int high, int32_t x) {
    const Int v = _mm512_set1_epi32(x);
    return _mm512_cmple_epi32_mask(low, v) & _mm512_cmpgt_epi32_mask(high, v);
  }
  static Mask either(Mask a, Mask b) { return a | b; }

  static Float round(Float x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x * 2^n for integral n.
  static Float scale_by_power_of_two(Float x, Float n) { return _mm512_scalef_ps(x, n); }

  static Float load_bfloat16(const uint16_t* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static Float load_float16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }

  static constexpr bool kHasTranspose = true;
  // out[c * out_stride + r] = in[r * in_stride + c] for 16 x 16 values of 32 bits.
  static void transpose(float* out, int64_t out_stride, const float* in, int64_t in_stride) {
    __m512i r[16], t[16];
    for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(in + i * in_stride);
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
      r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
      r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
      r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
      r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
      t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
      t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
      t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
      _mm512_storeu_si512(out + i * out_stride, _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88));
      _mm512_storeu_si512(out + (8 + i) * out_stride, _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd));
      _mm512_storeu_si512(out + (4 + i) * out_stride, _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88));
      _mm512_storeu_si512(out + (12 + i) * out_stride, _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd));
    }
  }
};
