// TCP connections that the ranks meet by; every wait has a deadline.
#ifndef MAGI_COMM_SOCKET_HPP
#define MAGI_COMM_SOCKET_HPP

#include "outcome.hpp"

#include <cstddef>
#include <string>

namespace magi::comm {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int file) : file_(file) {}
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  // Throws MAGI_COMM_FAILED if the port is taken or the address is not one of this machine.
  static Socket listen(const std::string& host, int port);
  // Tries again until somebody listens there; throws MAGI_COMM_TIMEOUT.
  static Socket connect(const std::string& host, int port, Deadline deadline);

  // The next connection, or an invalid socket if there is none now.
  Socket accept() const;
  // Bytes read now, 0 if there are none now, -1 if the other side has gone.
  int64_t read_some(void* data, size_t bytes) const;
  // False if the other side has gone or the deadline has passed.
  bool read_all(void* data, size_t bytes, Deadline deadline) const;
  bool write_all(const void* data, size_t bytes, Deadline deadline) const;

  bool is_valid() const { return file_ >= 0; }
  int file() const { return file_; }

 private:
  int file_ = -1;
};

// Milliseconds for poll(), at least 0 and at most an hour.
int milliseconds_until(Deadline deadline);

}  // namespace magi::comm

#endif
