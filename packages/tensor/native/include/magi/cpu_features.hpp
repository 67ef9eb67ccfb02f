// Which instruction set the kernels of a library use: what the processor and the operating system offer, or less when
// MAGI_ATTENTION_CPU_ISA asks for less.
#ifndef MAGI_CPU_FEATURES_HPP
#define MAGI_CPU_FEATURES_HPP

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#if defined(__x86_64__) || defined(_M_X64)
#define MAGI_X86_64 1
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace magi {

// Each level holds the ones before it.
enum class Isa : int {
  kPortable = 0,
  kAvx2 = 1,        // AVX2, FMA, F16C
  kAvx512 = 2,      // AVX-512 F, BW, VL, DQ
  kAvx512Bf16 = 3,  // AVX-512 BF16: vdpbf16ps
};

inline const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512Bf16: return "avx512-bf16";
    case Isa::kAvx512: return "avx512";
    case Isa::kAvx2: return "avx2";
    default: return "portable";
  }
}

// The highest level that this machine can run.
inline Isa detect_isa() {
#if defined(MAGI_X86_64)
  struct Registers {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  };
  const auto cpuid = [](uint32_t leaf, uint32_t subleaf) {
    Registers r;
#if defined(_MSC_VER) && !defined(__clang__)
    int values[4];
    __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
    r.eax = static_cast<uint32_t>(values[0]);
    r.ebx = static_cast<uint32_t>(values[1]);
    r.ecx = static_cast<uint32_t>(values[2]);
    r.edx = static_cast<uint32_t>(values[3]);
#else
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
#endif
    return r;
  };
  const auto has = [](uint32_t bits, int bit) { return (bits >> bit & 1u) != 0; };

  const uint32_t max_leaf = cpuid(0, 0).eax;
  if (max_leaf < 7) return Isa::kPortable;
  const Registers basic = cpuid(1, 0);
  if (!has(basic.ecx, 27)) return Isa::kPortable;  // OSXSAVE: xgetbv may be executed
#if defined(_MSC_VER) && !defined(__clang__)
  const uint64_t xcr0 = _xgetbv(0);
#else
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const uint64_t xcr0 = static_cast<uint64_t>(high) << 32 | low;
#endif
  const Registers extended = cpuid(7, 0);

  const bool os_avx = (xcr0 & 0x06) == 0x06;     // xmm, ymm
  const bool os_avx512 = (xcr0 & 0xe6) == 0xe6;  // and opmask, upper zmm, zmm16-31
  const bool avx2 = os_avx && has(basic.ecx, 28) && has(extended.ebx, 5) && has(basic.ecx, 12) && has(basic.ecx, 29);
  if (!avx2) return Isa::kPortable;
  const bool avx512 = os_avx512 && has(extended.ebx, 16) && has(extended.ebx, 30) && has(extended.ebx, 31) &&
                      has(extended.ebx, 17);
  if (!avx512) return Isa::kAvx2;
  const bool bf16 = extended.eax >= 1 && has(cpuid(7, 1).eax, 5);
  return bf16 ? Isa::kAvx512Bf16 : Isa::kAvx512;
#else
  return Isa::kPortable;
#endif
}

// The level in use: MAGI_ATTENTION_CPU_ISA = portable | avx2 | avx512 | avx512-bf16, capped by what exists; other
// values count as unset. Read once.
inline Isa active_isa() {
  static const Isa value = [] {
    const Isa best = detect_isa();
    const char* wanted = std::getenv("MAGI_ATTENTION_CPU_ISA");
    if (wanted == nullptr) return best;
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
      if (std::strcmp(wanted, isa_name(isa)) == 0) return std::min(isa, best);
    }
    return best;
  }();
  return value;
}

}  // namespace magi

#endif
