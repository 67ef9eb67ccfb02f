// Uninitialised memory on a cache-line boundary, freed with its owner.
#ifndef MAGI_SCRATCH_HPP
#define MAGI_SCRATCH_HPP

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace magi {

template <typename T>
class Scratch {
  static_assert(std::is_trivial_v<T>, "scratch memory is not constructed");

 public:
  static constexpr size_t kAlignment = 64;

  Scratch() = default;

  // Room for `count` elements. Throws std::bad_alloc.
  explicit Scratch(int64_t count) { reserve(count); }

  Scratch(Scratch&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  Scratch& operator=(Scratch&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~Scratch() { free(); }

  // Grows to at least `count` elements; what was in it is lost when it grows. Throws std::bad_alloc.
  T* reserve(int64_t count) {
    if (count > capacity_) {
      if (static_cast<uint64_t>(count) > PTRDIFF_MAX / sizeof(T)) throw std::bad_alloc();
      free();
      data_ = static_cast<T*>(::operator new(static_cast<size_t>(count) * sizeof(T), std::align_val_t{kAlignment}));
      capacity_ = count;
    }
    return data_;
  }

  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }
  int64_t capacity() const { return capacity_; }

 private:
  void free() noexcept {
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t{kAlignment});
    data_ = nullptr;
    capacity_ = 0;
  }

  T* data_ = nullptr;
  int64_t capacity_ = 0;
};

}  // namespace magi

#endif
