/* What every magi-attention C ABI shares: types, status codes and the way messages come back.
 *
 * Rules of the border: structs hold fixed-width integers, floats and pointers only and begin with their own size in bytes;
 * every call returns a MagiStatus and writes its message, always terminated, into the caller's buffer; no exception and no
 * ownership crosses. A struct's size is asked for by magi_*_sizeof_*() and compared when the library is loaded. */
#ifndef MAGI_ABI_H
#define MAGI_ABI_H

#include <stdint.h>

#if defined(_WIN32)
#define MAGI_API __declspec(dllexport)
#else
#define MAGI_API __attribute__((visibility("default")))
#endif

enum MagiStatus {
  MAGI_OK = 0,
  MAGI_INVALID_ARGUMENT = 1,
  MAGI_OUT_OF_MEMORY = 2,
  MAGI_UNSUPPORTED = 3,
  MAGI_INTERNAL = 4,
  MAGI_DEVICE_ERROR = 5, /* the GPU or its driver reported an error, or there is none */
};

/* Element types, numbered alike in every library. */
enum MagiDType {
  MAGI_FLOAT32 = 0,
  MAGI_BFLOAT16 = 1,
  MAGI_FLOAT16 = 2,
  MAGI_FLOAT64 = 3,
  MAGI_INT32 = 4,
  MAGI_INT64 = 5,
};

#endif
