// The shared memory of a job: one file in /dev/shm that has no name once all ranks have it open, and grows by group.
#ifndef MAGI_COMM_SEGMENT_HPP
#define MAGI_COMM_SEGMENT_HPP

#include <cstddef>
#include <cstdint>
#include <string>

namespace magi::comm {

constexpr int64_t kPageSize = 4096;
constexpr int64_t round_to_page(int64_t bytes) { return (bytes + kPageSize - 1) / kPageSize * kPageSize; }

class Segment {
 public:
  Segment() = default;
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&& other) noexcept;
  ~Segment();

  // A new file that only this user can open, under a name that cannot be guessed.
  static Segment create(std::string* name);
  static Segment open(const std::string& name);
  static void unlink(const std::string& name);

  // Makes room for a range; its memory is allocated now, so that no later access can fail.
  void allocate(int64_t offset, int64_t bytes) const;
  // Makes the file long enough, without memory behind it yet.
  void extend(int64_t size) const;
  char* map(int64_t offset, int64_t bytes) const;
  // Gives memory back.
  void discard(int64_t offset, int64_t bytes) const noexcept;

 private:
  explicit Segment(int file) : file_(file) {}
  int file_ = -1;
};

// Bytes that /dev/shm has left.
int64_t free_shared_memory();
// The kernel and the /dev/shm that this process sees: equal for ranks that can share memory.
std::string host_identity();

}  // namespace magi::comm

#endif
