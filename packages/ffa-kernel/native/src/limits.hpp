// What every library accepts.
#ifndef MAGI_FFA_LIMITS_HPP
#define MAGI_FFA_LIMITS_HPP

#include <cstdint>

namespace magi::ffa {

constexpr int32_t kMaxHeadDim = 256;
constexpr int32_t kMaxSinkTokens = 8;

}  // namespace magi::ffa

#endif
