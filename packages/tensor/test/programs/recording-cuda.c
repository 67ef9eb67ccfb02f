/* Stands in for libmagi_tensor_cuda where there is no GPU: computes nothing, and records what it is asked for. There are three
 * devices, the last of which is too old. Addresses are those of host memory, streams and events are small numbers. */
#include <magi/tensor_cuda.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char record[1 << 16];
static size_t record_size;
static uintptr_t next_handle = 1;
static int32_t out_of_memory;

static void note(const char* format, ...) {
  va_list values;
  va_start(values, format);
  record_size += (size_t)vsnprintf(record + record_size, sizeof(record) - record_size, format, values);
  va_end(values);
}

/* What was asked for since the last time, a line each. */
MAGI_API const char* take_record(void) {
  record[record_size] = '\0';
  record_size = 0;
  return record;
}

/* Lets the next sums fail for want of memory. */
MAGI_API void fail_sums(int32_t count) { out_of_memory = count; }

#define STREAM(device, stream) (int)(device), (int)(uintptr_t)(stream)
#define TAIL int32_t device, void *stream, char *message, int32_t message_size
#define DONE(name, ...) \
  MAGI_API int32_t magi_cuda_##name(__VA_ARGS__) { return MAGI_OK; }

MAGI_API int32_t magi_cuda_abi_version(void) { return MAGI_CUDA_ABI_VERSION; }
MAGI_API int64_t magi_cuda_sizeof_versions(void) { return sizeof(MagiCudaVersions); }
MAGI_API int64_t magi_cuda_sizeof_device(void) { return sizeof(MagiCudaDevice); }
MAGI_API int64_t magi_cuda_sizeof_memory(void) { return sizeof(MagiCudaMemory); }

MAGI_API int32_t magi_cuda_get_versions(MagiCudaVersions* versions, char* message, int32_t message_size) {
  versions->device_count = 3;
  versions->driver = versions->runtime = 13000;
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_get_device(int32_t device, MagiCudaDevice* properties, char* name, int32_t name_size, char* message,
                                      int32_t message_size) {
  properties->capability_major = device == 2 ? 7 : 9;
  properties->has_memory_pools = 1;
  snprintf(name, (size_t)name_size, "recorder");
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_allocate(int64_t bytes, void** memory, TAIL) {
  *memory = malloc((size_t)bytes + 1);
  note("allocate %d on %d.%d\n", (int)bytes, STREAM(device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_free(void* memory, TAIL) {
  free(memory);
  note("free on %d.%d\n", STREAM(device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_trim(int32_t device, char* message, int32_t message_size) {
  note("trim %d\n", (int)device);
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_allocate_host(int64_t bytes, void** memory, char* message, int32_t message_size) {
  *memory = malloc((size_t)bytes + 1);
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_copy(void* out, const void* in, int64_t bytes, TAIL) {
  memcpy(out, in, (size_t)bytes);
  note("copy on %d.%d\n", STREAM(device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_copy_peer(void* out, int32_t out_device, const void* in, int32_t in_device, int64_t bytes, void* stream,
                                     char* message, int32_t message_size) {
  note("copy from %d on %d.%d\n", (int)in_device, STREAM(out_device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_stream_create(int32_t priority, void** stream, int32_t device, char* message, int32_t message_size) {
  *stream = (void*)next_handle++;
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_stream_synchronize(TAIL) {
  note("synchronize %d.%d\n", STREAM(device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_stream_wait_event(void* event, TAIL) {
  note("%d.%d waits\n", STREAM(device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_event_create(int32_t timing, void** event, int32_t device, char* message, int32_t message_size) {
  *event = (void*)next_handle++;
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_event_record(void* event, TAIL) {
  note("event on %d.%d\n", STREAM(device, stream));
  return MAGI_OK;
}

MAGI_API int32_t magi_cuda_sum(void* out, const void* in, int32_t dtype, int64_t outer, int64_t reduced, int64_t inner, double scale,
                               TAIL) {
  note("sum\n");
  if (out_of_memory == 0) return MAGI_OK;
  --out_of_memory;
  snprintf(message, (size_t)message_size, "no room for partial sums");
  return MAGI_OUT_OF_MEMORY;
}

DONE(synchronize, int32_t device, char* message, int32_t message_size)
DONE(find_cublas, char* path, int32_t path_size, int32_t* version, char* message, int32_t message_size)
DONE(get_memory, int32_t device, MagiCudaMemory* memory, char* message, int32_t message_size)
DONE(free_host, void* memory, char* message, int32_t message_size)
DONE(stream_destroy, TAIL)
DONE(stream_query, int32_t* is_done, TAIL)
DONE(event_destroy, void* event, int32_t device, char* message, int32_t message_size)
DONE(event_synchronize, void* event, int32_t device, char* message, int32_t message_size)
DONE(event_query, void* event, int32_t* is_done, int32_t device, char* message, int32_t message_size)
DONE(event_elapsed, void* start, void* end, double* ms, int32_t device, char* message, int32_t message_size)
DONE(fill, void* out, int64_t count, int32_t dtype, double value, TAIL)
DONE(arange, void* out, int64_t count, int32_t dtype, double start, double step, TAIL)
DONE(randn, void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, TAIL)
DONE(rand_uniform, void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, double low, double high, TAIL)
DONE(cast, void* out, int32_t out_dtype, const void* in, int32_t in_dtype, int64_t count, TAIL)
DONE(binary, int32_t op, void* out, const void* a, const void* b, int32_t dtype, int32_t rank, const int64_t* sizes,
     const int64_t* a_strides, const int64_t* b_strides, TAIL)
DONE(scale, void* out, const void* a, int64_t count, int32_t dtype, double scale, double shift, TAIL)
DONE(copy_rows, void* out, int64_t out_stride, const void* in, int64_t in_stride, int64_t rows, int64_t row_elements,
     int32_t element_size, TAIL)
DONE(index_select, void* out, const void* in, const int64_t* index, int64_t outer, int64_t in_rows, int64_t out_rows, int64_t inner,
     int32_t element_size, TAIL)
DONE(index_add, void* out, const void* in, const int64_t* index, int32_t dtype, int64_t outer, int64_t out_rows, int64_t in_rows,
     int64_t inner, TAIL)
DONE(matmul, void* out, const void* a, const void* b, int32_t dtype, int64_t m, int64_t n, int64_t k, int32_t transpose_a,
     int32_t transpose_b, TAIL)
