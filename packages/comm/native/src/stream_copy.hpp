// Copying into memory that nobody reads soon: past the caches, which saves reading what is overwritten.
#ifndef MAGI_COMM_STREAM_COPY_HPP
#define MAGI_COMM_STREAM_COPY_HPP

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace magi::comm {

inline void stream_copy(char* out, const char* in, int64_t bytes) {
#if defined(__x86_64__)
  constexpr int64_t kVector = 16;
  constexpr int64_t kLine = 64;
  if (bytes >= 16 * kLine) {
    const int64_t head = -reinterpret_cast<intptr_t>(out) & (kLine - 1);
    std::memcpy(out, in, static_cast<size_t>(head));
    out += head;
    in += head;
    bytes -= head;
    for (; bytes >= kLine; bytes -= kLine, out += kLine, in += kLine) {
      for (int64_t i = 0; i < kLine; i += kVector) {
        const __m128i value = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + i), value);
      }
    }
    // Such stores are seen in order only behind a fence.
    _mm_sfence();
  }
#endif
  std::memcpy(out, in, static_cast<size_t>(bytes));
}

}  // namespace magi::comm

#endif
