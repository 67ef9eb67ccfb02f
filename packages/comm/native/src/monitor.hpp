// Notices that another rank's process has ended, and wakes everybody.
#ifndef MAGI_COMM_MONITOR_HPP
#define MAGI_COMM_MONITOR_HPP

#include "control.hpp"
#include "socket.hpp"

#include <thread>
#include <vector>

namespace magi::comm {

class Monitor {
 public:
  // `peers` as bootstrap() returns them. Processes must have published their ids.
  Monitor(Control& control, int rank, int world_size, std::vector<Socket> peers);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

 private:
  struct Watch {
    Socket file;  // a connection, or a pidfd
    int rank;
    bool is_connection;
  };
  void run();

  Control& control_;
  const int world_size_;
  std::vector<Watch> watches_;
  Socket stop_;
  std::thread thread_;
};

}  // namespace magi::comm

#endif
