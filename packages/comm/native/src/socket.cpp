#include "socket.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

namespace magi::comm {

namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses resolve(const std::string& host, int port, bool is_passive) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (is_passive ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) {
    throw CommError(MAGI_COMM_FAILED, "MASTER_ADDR " + host + " cannot be resolved: " + gai_strerror(error));
  }
  return Addresses(list, freeaddrinfo);
}

Socket open_socket(const addrinfo& address) {
  return Socket(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
}

// Readiness for `events`; false at the deadline.
bool wait_for(int file, short events, Deadline deadline) {
  for (;;) {
    pollfd entry{file, events, 0};
    const int count = poll(&entry, 1, milliseconds_until(deadline));
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
    if (Clock::now() >= deadline) return false;
  }
}

}  // namespace

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count() + 1;
  return static_cast<int>(std::clamp<long long>(left, 0, 3'600'000));
}

Socket::Socket(Socket&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

Socket::~Socket() {
  if (file_ >= 0) close(file_);
}

Socket Socket::listen(const std::string& host, int port) {
  const Addresses addresses = resolve(host, port, true);
  int error = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    Socket socket = open_socket(*address);
    // Connections of an earlier job that are still dying do not block the port; a listener does.
    const int yes = 1;
    if (socket.is_valid() && setsockopt(socket.file(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
        bind(socket.file(), address->ai_addr, address->ai_addrlen) == 0 && ::listen(socket.file(), 256) == 0) {
      return socket;
    }
    error = errno;
  }
  const std::string place = host + ":" + std::to_string(port);
  if (error == EADDRINUSE) {
    throw CommError(MAGI_COMM_FAILED, "rank 0 cannot listen on " + place +
                                          ": the port is in use, perhaps by another job. Set MASTER_PORT to a free one");
  }
  throw CommError(MAGI_COMM_FAILED, "rank 0 cannot listen on " + place + ": " + std::strerror(error) +
                                        ". MASTER_ADDR must name the machine of rank 0");
}

Socket Socket::connect(const std::string& host, int port, Deadline deadline) {
  const Addresses addresses = resolve(host, port, false);
  for (;;) {
    for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
      Socket socket = open_socket(*address);
      if (!socket.is_valid()) continue;
      const int result = ::connect(socket.file(), address->ai_addr, address->ai_addrlen);
      if (result != 0 && (errno != EINPROGRESS || !wait_for(socket.file(), POLLOUT, deadline))) continue;
      int error = 0;
      socklen_t size = sizeof(error);
      getsockopt(socket.file(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) continue;
      const int yes = 1;
      setsockopt(socket.file(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
      return socket;
    }
    if (Clock::now() >= deadline) {
      throw CommError(MAGI_COMM_TIMEOUT,
                      "nobody listens on " + host + ":" + std::to_string(port) + ", where rank 0 is expected", {0});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Socket Socket::accept() const {
  const int file = accept4(file_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (file >= 0) {
    const int yes = 1;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }
  return Socket(file);
}

int64_t Socket::read_some(void* data, size_t bytes) const {
  for (;;) {
    const ssize_t count = recv(file_, data, bytes, 0);
    if (count > 0) return count;
    if (count == 0) return -1;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
  }
}

bool Socket::read_all(void* data, size_t bytes, Deadline deadline) const {
  for (size_t done = 0; done < bytes;) {
    const int64_t count = read_some(static_cast<char*>(data) + done, bytes - done);
    if (count < 0) return false;
    if (count == 0 && !wait_for(file_, POLLIN, deadline)) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

bool Socket::write_all(const void* data, size_t bytes, Deadline deadline) const {
  for (size_t done = 0; done < bytes;) {
    const ssize_t count = send(file_, static_cast<const char*>(data) + done, bytes - done, MSG_NOSIGNAL);
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR && (errno != EAGAIN || !wait_for(file_, POLLOUT, deadline))) {
      return false;
    }
  }
  return true;
}

}  // namespace magi::comm
