// Vector functions of a softmax. Included inside an instruction set's own namespace (see kernels.inl.hpp).

constexpr float kLog2E = 1.44269504088896340736f;
constexpr float kLn2 = 0.69314718055994530942f;
constexpr double kLog2EDouble = 1.44269504088896340736;
constexpr double kLn2Double = 0.69314718055994530942;
constexpr float kInfinity = __builtin_inff();

// 2^x to about one unit in the last place: x = n + r with |r| <= 1/2, and a minimax polynomial of degree 6 for 2^r.
// -infinity gives exactly 0, NaN stays NaN. The bounds stand first in min and max because of NaN.
MAGI_INLINE Float exp2(Float x) {
  x = Simd::max(Simd::broadcast(kExp2Lowest), Simd::min(Simd::broadcast(128.0f), x));
  const Float n = Simd::round(x);
  const Float r = Simd::sub(x, n);
  Float p = Simd::broadcast(1.535336188319500e-4f);
  p = Simd::fma(p, r, Simd::broadcast(1.339887440266574e-3f));
  p = Simd::fma(p, r, Simd::broadcast(9.618437357674640e-3f));
  p = Simd::fma(p, r, Simd::broadcast(5.550332471162809e-2f));
  p = Simd::fma(p, r, Simd::broadcast(2.402264791363012e-1f));
  p = Simd::fma(p, r, Simd::broadcast(6.931472028550421e-1f));
  p = Simd::fma(p, r, Simd::broadcast(1.0f));
  return Simd::scale_by_power_of_two(p, n);
}

// tanh to about two units in the last place: the odd Taylor series below 0.4, where 1 - 2 / (e^2x + 1) would cancel.
MAGI_INLINE Float tanh(Float x) {
  const Float t = Simd::abs(x);
  const Float e = exp2(Simd::mul(Simd::min(Simd::broadcast(10.0f), t), Simd::broadcast(2.0f * kLog2E)));
  const Float large =
      Simd::sub(Simd::broadcast(1.0f), Simd::div(Simd::broadcast(2.0f), Simd::add(e, Simd::broadcast(1.0f))));
  const Float z = Simd::mul(x, x);
  Float p = Simd::broadcast(-929569.0f / 638512875.0f);
  p = Simd::fma(p, z, Simd::broadcast(21844.0f / 6081075.0f));
  p = Simd::fma(p, z, Simd::broadcast(-1382.0f / 155925.0f));
  p = Simd::fma(p, z, Simd::broadcast(62.0f / 2835.0f));
  p = Simd::fma(p, z, Simd::broadcast(-17.0f / 315.0f));
  p = Simd::fma(p, z, Simd::broadcast(2.0f / 15.0f));
  p = Simd::fma(p, z, Simd::broadcast(-1.0f / 3.0f));
  const Float small = Simd::fma(Simd::mul(p, z), x, x);
  const Float signed_large = Simd::select(Simd::less(x, Simd::zero()), Simd::sub(Simd::zero(), large), large);
  return Simd::select(Simd::less(t, Simd::broadcast(0.4f)), small, signed_large);
}

// How raw dot products become logits in base 2: x * scale, or cap * tanh(x * inner).
struct Logits {
  float scale;  // softmax_scale * log2(e); with softcap: softcap * log2(e)
  float inner;  // softmax_scale / softcap

  static Logits of(float softmax_scale, float softcap) {
    if (softcap == 0.0f) return {softmax_scale * kLog2E, 0.0f};
    return {softcap * kLog2E, softmax_scale / softcap};
  }
};
