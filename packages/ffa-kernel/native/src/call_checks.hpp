// The checks of a call that do not depend on where it runs. The TypeScript side has checked all of it already; this is the second
// line of defence. Throws magi::Error.
#ifndef MAGI_FFA_CALL_CHECKS_HPP
#define MAGI_FFA_CALL_CHECKS_HPP

#include <magi/ffa.h>
#include <magi/status.hpp>

#include <cmath>

#include "limits.hpp"

namespace magi::ffa {

inline void check_head_dim(int32_t head_dim) {
  check(head_dim > 0 && head_dim <= kMaxHeadDim && head_dim % 8 == 0,
        "head_dim: expected a multiple of 8 from 8 to %d, got %d", kMaxHeadDim, head_dim);
}

// Heads, scores and sinks. Args: MagiFfaForwardArgs or MagiFfaBackwardArgs.
template <typename Args>
void check_heads_and_scores(const Args& args) {
  check_head_dim(args.head_dim);
  check(args.num_heads_kv > 0 && args.num_heads_q > 0 && args.num_heads_q % args.num_heads_kv == 0,
        "num_heads_q: expected a positive multiple of num_heads_kv %d, got %d", args.num_heads_kv, args.num_heads_q);
  check(std::isfinite(args.softmax_scale), "softmax_scale: expected a finite number");
  check(std::isfinite(args.softcap) && args.softcap >= 0.0f, "softcap: expected a finite number of at least 0");
  check(args.sink_layout == MAGI_FFA_SINK_SH || args.sink_layout == MAGI_FFA_SINK_SSH, "sink_layout: unknown code %d",
        args.sink_layout);
  check(args.sink_tokens >= 0 && args.sink_tokens <= kMaxSinkTokens, "sink_tokens: expected 0 to %d, got %d", kMaxSinkTokens,
        args.sink_tokens);
  check(args.sink_tokens == 0 || args.sink != nullptr || args.total_q == 0, "sink: expected a pointer for %d sink tokens",
        args.sink_tokens);
  check(args.plan != nullptr, "plan: expected a pointer");
}

}  // namespace magi::ffa

#endif
