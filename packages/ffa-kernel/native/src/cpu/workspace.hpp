// Memory for one call: carved from one block, which goes back to a small cache. Fresh pages cost more than the packing that
// fills them, and training asks for the same sizes at every step.
#pragma once

#include <cstddef>
#include <cstdint>

namespace magi::ffa {

class Workspace {
 public:
  // A block of at least `bytes`, uninitialised. Throws std::bad_alloc.
  explicit Workspace(size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  char* data() const { return static_cast<char*>(block_); }

 private:
  void* block_;
  size_t bytes_;
};

// Adds up the sizes of a call's buffers first, and hands out their places afterwards: run the same requests twice.
class Carver {
 public:
  explicit Carver(char* base = nullptr) : base_(base) {}

  template <typename T>
  T* take(int64_t count) {
    char* at = base_ == nullptr ? nullptr : base_ + used_;
    used_ += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(at);
  }
  size_t used() const { return used_; }

 private:
  static constexpr size_t kAlignment = 64;
  char* base_;
  size_t used_ = 0;
};

}  // namespace magi::ffa
