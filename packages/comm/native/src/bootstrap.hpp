// How the ranks of a job find each other: over TCP, which also tells later when one of them has gone.
#ifndef MAGI_COMM_BOOTSTRAP_HPP
#define MAGI_COMM_BOOTSTRAP_HPP

#include "job_options.hpp"
#include "segment.hpp"
#include "socket.hpp"

#include <functional>
#include <string>
#include <vector>

namespace magi::comm {

struct BootstrapOptions : JobOptions {
  // Makes, on rank 0, what all ranks will use as soon as they have the segment.
  std::function<void(const Segment&, int64_t ring_bytes)> prepare;
};

struct BootstrapResult {
  Segment segment;  // without a name by now; its first bytes are the control block
  char* control;
  int64_t ring_bytes;
  std::vector<Socket> peers;  // by rank on rank 0; elsewhere only that to rank 0
};

// Throws CommError; then every rank that got in touch fails for the same reason.
BootstrapResult bootstrap(const BootstrapOptions& options);

}  // namespace magi::comm

#endif
