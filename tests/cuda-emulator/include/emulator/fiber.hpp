// A flow of control of its own within an operating system thread.
#pragma once

#include <cstddef>
#include <functional>

namespace emulator {

class Fiber {
 public:
  explicit Fiber(size_t stack_bytes);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Gets ready to run `body`. The fiber must not be within another one.
  void start(std::function<void()> body);
  // Runs it until it suspends itself or ends. For the thread's scheduler.
  void resume();
  // Back to whoever resumed it. For the fiber itself.
  void suspend();

 private:
  static void enter();

  char* stack_;
  size_t stack_bytes_;
  void* own_ = nullptr;     // where it goes on
  void* caller_ = nullptr;  // where its caller goes on
  std::function<void()> body_;
};

}  // namespace emulator
