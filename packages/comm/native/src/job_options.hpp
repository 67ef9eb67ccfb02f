// How a rank joins its job.
#ifndef MAGI_COMM_JOB_OPTIONS_HPP
#define MAGI_COMM_JOB_OPTIONS_HPP

#include <cstdint>
#include <string>

namespace magi::comm {

struct JobOptions {
  int rank;
  int world_size;
  std::string host;
  int port;
  std::string token;   // equal on all ranks of a job, and different from that of other jobs if the launcher says so
  int64_t ring_bytes;  // 0: by the machine
  double timeout_seconds;
};

}  // namespace magi::comm

#endif
