// Four lanes in plain C++, for every other processor. The loops are short and of fixed length, so compilers turn them into
// whatever vectors the target has (SSE2, NEON). Included inside its own namespace (see kernels.inl.hpp).

struct Simd {
  static constexpr int kLanes = 4;
  struct Float {
    float v[4];
  };
  struct Int {
    int32_t v[4];
  };
  struct Mask {
    bool v[4];
  };

#define MAGI_LANES(expression) \
  do {                         \
    for (int i = 0; i < 4; ++i) expression; \
  } while (0)

  static Float zero() { return broadcast(0.0f); }
  static Float broadcast(float x) { return {{x, x, x, x}}; }
  static Float load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static void store(float* p, Float x) { MAGI_LANES(p[i] = x.v[i]); }
  static constexpr bool kCanStream = false;
  static void stream(float* p, Float x) { store(p, x); }
  static void publish() {}
  static Float add(Float a, Float b) { MAGI_LANES(a.v[i] += b.v[i]); return a; }
  static Float sub(Float a, Float b) { MAGI_LANES(a.v[i] -= b.v[i]); return a; }
  static Float mul(Float a, Float b) { MAGI_LANES(a.v[i] *= b.v[i]); return a; }
  static Float div(Float a, Float b) { MAGI_LANES(a.v[i] /= b.v[i]); return a; }
  static Float fma(Float a, Float b, Float c) { MAGI_LANES(c.v[i] += a.v[i] * b.v[i]); return c; }
  // Where either is NaN the result is b: callers order the operands so that NaN survives.
  static Float max(Float a, Float b) { MAGI_LANES(b.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i]); return b; }
  static Float min(Float a, Float b) { MAGI_LANES(b.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i]); return b; }
  static Float abs(Float a) { MAGI_LANES(a.v[i] = a.v[i] < 0 ? -a.v[i] : a.v[i]); return a; }
  static Mask less(Float a, Float b) { Mask m; MAGI_LANES(m.v[i] = a.v[i] < b.v[i]); return m; }
  static Mask equal(Float a, Float b) { Mask m; MAGI_LANES(m.v[i] = a.v[i] == b.v[i]); return m; }
  static Mask differ(Float a, Float b) { Mask m; MAGI_LANES(m.v[i] = a.v[i] != b.v[i]); return m; }
  static bool any(Mask m) { return m.v[0] || m.v[1] || m.v[2] || m.v[3]; }
  static Float select(Mask m, Float yes, Float no) { MAGI_LANES(no.v[i] = m.v[i] ? yes.v[i] : no.v[i]); return no; }

  static Int load_int(const int32_t* p) { return {{p[0], p[1], p[2], p[3]}}; }
  // Lanes whose [low, high) holds x.
  static Mask within(Int low, Int high, int32_t x) {
    Mask m;
    MAGI_LANES(m.v[i] = low.v[i] <= x && x < high.v[i]);
    return m;
  }
  static Mask either(Mask a, Mask b) { MAGI_LANES(a.v[i] = a.v[i] || b.v[i]); return a; }

  // Adding and taking away 1.5 * 2^23 rounds to nearest even for |x| < 2^22.
  static Float round(Float x) { MAGI_LANES(x.v[i] = (x.v[i] + 12582912.0f) - 12582912.0f); return x; }
  // x * 2^n for integral n from -127 on; -127 gives zero.
  static Float scale_by_power_of_two(Float x, Float n) {
    for (int i = 0; i < 4; ++i) {
      // A NaN has no integer: it is carried by x itself.
      const int32_t exponent = n.v[i] == n.v[i] ? static_cast<int32_t>(n.v[i]) : 0;
      const uint32_t bits = static_cast<uint32_t>(exponent + 127) << 23;
      float power;
      __builtin_memcpy(&power, &bits, 4);
      x.v[i] *= power;
    }
    return x;
  }

  static Float load_bfloat16(const uint16_t* p) { Float x; MAGI_LANES(x.v[i] = bf16_to_f32(p[i])); return x; }
  static Float load_float16(const uint16_t* p) { Float x; MAGI_LANES(x.v[i] = f16_to_f32(p[i])); return x; }

  static constexpr bool kHasTranspose = false;
  static void transpose(float*, int64_t, const float*, int64_t) {}
#undef MAGI_LANES
};
