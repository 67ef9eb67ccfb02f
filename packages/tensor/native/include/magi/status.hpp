// How a C entry point reports: its body runs guarded, checks throw, and the outcome becomes a status and a message.
#ifndef MAGI_STATUS_HPP
#define MAGI_STATUS_HPP

#include <magi/abi.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>

namespace magi {

// Carries a status and its text, without allocating, from the place of a check to the border.
class Error : public std::exception {
 public:
  Error(int32_t status, const char* format, va_list arguments) noexcept : status_(status) {
    std::vsnprintf(text_, sizeof(text_), format, arguments);
  }
  int32_t status() const noexcept { return status_; }
  const char* what() const noexcept override { return text_; }

 private:
  int32_t status_;
  char text_[400];
};

#if defined(__GNUC__)
#define MAGI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define MAGI_PRINTF(text, first)
#endif

// Throws with a status of choice, for example MAGI_UNSUPPORTED.
[[noreturn]] MAGI_PRINTF(2, 3) inline void fail(int32_t status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const Error error(status, format, arguments);
  va_end(arguments);
  throw error;
}

// MAGI_INVALID_ARGUMENT unless `condition`. The text names the argument, what was expected and what came.
MAGI_PRINTF(2, 3) inline void check(bool condition, const char* format, ...) {
  if (condition) return;
  va_list arguments;
  va_start(arguments, format);
  const Error error(MAGI_INVALID_ARGUMENT, format, arguments);
  va_end(arguments);
  throw error;
}

// Writes text into the caller's buffer, cut to fit and always terminated; a buffer without room stays as it is.
inline void write_message(char* message, int32_t message_size, const char* text) noexcept {
  if (message != nullptr && message_size > 0) {
    std::snprintf(message, static_cast<size_t>(message_size), "%s", text);
  }
}

// Runs the body of an entry point: nothing that it throws crosses the border.
template <typename F>
int32_t guarded(char* message, int32_t message_size, F&& body) noexcept {
  try {
    if (message != nullptr && message_size > 0) message[0] = '\0';
    body();
    return MAGI_OK;
  } catch (const Error& error) {
    write_message(message, message_size, error.what());
    return error.status();
  } catch (const std::bad_alloc&) {
    write_message(message, message_size, "out of memory");
    return MAGI_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    write_message(message, message_size, error.what());
    return MAGI_INTERNAL;
  } catch (...) {
    write_message(message, message_size, "unknown exception");
    return MAGI_INTERNAL;
  }
}

}  // namespace magi

#endif
