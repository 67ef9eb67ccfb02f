#include "mpi_transfer.hpp"

#include <magi/status.hpp>

#include <algorithm>

namespace magi::comm {

std::recursive_mutex& mpi_mutex() {
  // Outlives the program's static objects: threads may still run when the process ends.
  static auto* mutex = new std::recursive_mutex();
  return *mutex;
}

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail(MAGI_INTERNAL, "%s failed: %s", what, text);
}

MpiTransfer::~MpiTransfer() {
  if (messages_.empty()) return;
  const std::lock_guard<std::recursive_mutex> lock(mpi_mutex());
  for (Message& message : messages_) {
    if (message.is_receive) MPI_Cancel(&message.request);
    MPI_Request_free(&message.request);
  }
  static_cast<void>(buffer_.release());
}

void MpiTransfer::send(int64_t bytes, int member, int rank, int tag, MPI_Comm comm) {
  MPI_Request request;
  check_mpi(MPI_Isend(data(), static_cast<int>(bytes), MPI_BYTE, rank, tag, comm, &request), "MPI_Isend");
  messages_.push_back({request, member, false});
}

void MpiTransfer::receive(int64_t bytes, int member, int rank, int tag, MPI_Comm comm) {
  MPI_Request request;
  check_mpi(MPI_Irecv(data(), static_cast<int>(bytes), MPI_BYTE, rank, tag, comm, &request), "MPI_Irecv");
  messages_.push_back({request, member, true});
}

bool MpiTransfer::test() {
  for (size_t i = messages_.size(); i-- > 0;) {
    int is_done = 0;
    MPI_Status status;
    check_mpi(MPI_Test(&messages_[i].request, &is_done, &status), "MPI_Test");
    if (!is_done) continue;
    if (messages_[i].is_receive) {
      int bytes = 0;
      check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
      received_bytes_ = bytes;
    }
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return messages_.empty();
}

std::vector<int> MpiTransfer::pending() const {
  std::vector<int> members;
  for (const Message& message : messages_) members.push_back(message.member);
  std::sort(members.begin(), members.end());
  return members;
}

}  // namespace magi::comm
