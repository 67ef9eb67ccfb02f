// Messages under way, and the buffer that they use.
#ifndef MAGI_COMM_MPI_TRANSFER_HPP
#define MAGI_COMM_MPI_TRANSFER_HPP

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace magi::comm {

// Held around every call of MPI, which so needs no more than MPI_THREAD_SERIALIZED.
std::recursive_mutex& mpi_mutex();

// Throws magi::Error unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* what);

// One buffer that goes to several ranks, or is filled by one. MPI cannot take back a message that is half way: a transfer that
// is dropped before its end leaves its buffer to MPI for good, so that nobody else's memory is read or written.
class MpiTransfer {
 public:
  explicit MpiTransfer(int64_t capacity) : buffer_(new char[static_cast<size_t>(capacity)]()), capacity_(capacity) {}
  ~MpiTransfer();
  MpiTransfer(const MpiTransfer&) = delete;
  MpiTransfer& operator=(const MpiTransfer&) = delete;

  char* data() { return buffer_.get(); }
  int64_t capacity() const { return capacity_; }

  // `member` is what `pending` calls the rank.
  void send(int64_t bytes, int member, int rank, int tag, MPI_Comm comm);
  void receive(int64_t bytes, int member, int rank, int tag, MPI_Comm comm);
  // Whether all messages have ended.
  bool test();
  // Of the last message that was received.
  int64_t received_bytes() const { return received_bytes_; }
  bool is_idle() const { return messages_.empty(); }
  // Members whose messages have not ended.
  std::vector<int> pending() const;

 private:
  struct Message {
    MPI_Request request;
    int member;
    bool is_receive;
  };

  std::unique_ptr<char[]> buffer_;
  const int64_t capacity_;
  std::vector<Message> messages_;
  int64_t received_bytes_ = 0;
};

}  // namespace magi::comm

#endif
