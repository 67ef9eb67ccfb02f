/* The C ABI of the CUDA tensor operations (libmagi_tensor_cuda), the GPU's counterpart of tensor.h. The library loads on machines
 * without a GPU or a driver, and says so when it is asked.
 *
 * Operations are enqueued on `stream` of `device` and return before they have run. What goes wrong while they run is reported as
 * MAGI_DEVICE_ERROR by a later call, at the latest by one that waits. A stream is a cudaStream_t; NULL is the device's default
 * stream. Shapes and offsets count elements; scalars are checked, the caller vouches for the pointers, which are addresses of
 * the device's memory and aligned to their element type. Arithmetic is that of tensor.h, without fused multiply-add: all but
 * sums and matrix products give the same bits as the CPU. No result depends on an order that may vary from run to run. */
#ifndef MAGI_TENSOR_CUDA_H
#define MAGI_TENSOR_CUDA_H

#include <magi/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAGI_CUDA_ABI_VERSION 1

MAGI_API int32_t magi_cuda_abi_version(void);

/* ---- Devices ---- */

typedef struct MagiCudaVersions {
  int64_t struct_size;
  int32_t device_count;
  int32_t driver;  /* the newest CUDA that the driver supports, 13000 for 13.0; 0 without a driver */
  int32_t runtime; /* the CUDA that this library was built with */
  int32_t reserved;
} MagiCudaVersions;

typedef struct MagiCudaDevice {
  int64_t struct_size;
  int64_t memory_bytes;
  int64_t l2_bytes;
  int32_t capability_major;
  int32_t capability_minor;
  int32_t num_multiprocessors;
  int32_t has_memory_pools;
} MagiCudaDevice;

typedef struct MagiCudaMemory {
  int64_t struct_size;
  int64_t free_bytes; /* of the whole device */
  int64_t total_bytes;
  int64_t reserved_bytes; /* that the pool holds, in use or for reuse */
  int64_t used_bytes;     /* of these, in use */
} MagiCudaMemory;

MAGI_API int64_t magi_cuda_sizeof_versions(void);
MAGI_API int64_t magi_cuda_sizeof_device(void);
MAGI_API int64_t magi_cuda_sizeof_memory(void);
/* Fills `versions` always. MAGI_DEVICE_ERROR, with the reason, where no GPU can be used. */
MAGI_API int32_t magi_cuda_get_versions(MagiCudaVersions* versions, char* message, int32_t message_size);
/* `name` gets the GPU's name, cut to `name_size` bytes and terminated. */
MAGI_API int32_t magi_cuda_get_device(int32_t device, MagiCudaDevice* properties, char* name, int32_t name_size, char* message,
                                      int32_t message_size);
/* Waits for all streams of the device. */
MAGI_API int32_t magi_cuda_synchronize(int32_t device, char* message, int32_t message_size);

/* ---- Memory ---- */

/* Memory in stream order, from the device's pool, which keeps what is freed. On failure the pool is trimmed and asked once more;
 * then MAGI_OUT_OF_MEMORY. No bytes are NULL. */
MAGI_API int32_t magi_cuda_allocate(int64_t bytes, void** memory, int32_t device, void* stream, char* message,
                                    int32_t message_size);
/* The memory may be reused by what is enqueued on the stream from now on. */
MAGI_API int32_t magi_cuda_free(void* memory, int32_t device, void* stream, char* message, int32_t message_size);
/* Gives what the pool does not use back to the system. Waits for the device. */
MAGI_API int32_t magi_cuda_trim(int32_t device, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_get_memory(int32_t device, MagiCudaMemory* memory, char* message, int32_t message_size);
/* Page-locked memory of the host. */
MAGI_API int32_t magi_cuda_allocate_host(int64_t bytes, void** memory, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_free_host(void* memory, char* message, int32_t message_size);
/* Copies in either direction between host and device, or on a device. Host memory that was read may be reused on
 * return, unless it is page-locked; host memory that was written is complete when the stream was waited for. */
MAGI_API int32_t magi_cuda_copy(void* out, const void* in, int64_t bytes, int32_t device, void* stream, char* message,
                                int32_t message_size);
/* Between devices, on a stream of `out_device`. Direct where the hardware can, else through the host. */
MAGI_API int32_t magi_cuda_copy_peer(void* out, int32_t out_device, const void* in, int32_t in_device, int64_t bytes,
                                     void* stream, char* message, int32_t message_size);

/* ---- Streams and events ---- */

/* A stream that does not wait for the default stream. A lower priority is served first; values out of range are clamped. */
MAGI_API int32_t magi_cuda_stream_create(int32_t priority, void** stream, int32_t device, char* message, int32_t message_size);
/* The caller has waited for the stream. */
MAGI_API int32_t magi_cuda_stream_destroy(int32_t device, void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_stream_synchronize(int32_t device, void* stream, char* message, int32_t message_size);
/* is_done: 1 when everything on the stream has run, else 0. */
MAGI_API int32_t magi_cuda_stream_query(int32_t* is_done, int32_t device, void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_stream_wait_event(void* event, int32_t device, void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_event_create(int32_t enable_timing, void** event, int32_t device, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_event_destroy(void* event, int32_t device, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_event_record(void* event, int32_t device, void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_event_synchronize(void* event, int32_t device, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_event_query(void* event, int32_t* is_done, int32_t device, char* message, int32_t message_size);
/* Milliseconds between two recorded events that have happened. */
MAGI_API int32_t magi_cuda_event_elapsed(void* start, void* end, double* milliseconds, int32_t device, char* message,
                                         int32_t message_size);

/* ---- Operations: see tensor.h ---- */

MAGI_API int32_t magi_cuda_fill(void* out, int64_t count, int32_t dtype, double value, int32_t device, void* stream,
                                char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_arange(void* out, int64_t count, int32_t dtype, double start, double step, int32_t device,
                                  void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_randn(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, int32_t device,
                                 void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_rand_uniform(void* out, int64_t count, int32_t dtype, uint64_t seed, uint64_t offset, double low,
                                        double high, int32_t device, void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_cast(void* out, int32_t out_dtype, const void* in, int32_t in_dtype, int64_t count, int32_t device,
                                void* stream, char* message, int32_t message_size);
/* Integers are not divided: MAGI_UNSUPPORTED. */
MAGI_API int32_t magi_cuda_binary(int32_t op, void* out, const void* a, const void* b, int32_t dtype, int32_t rank,
                                  const int64_t* sizes, const int64_t* a_strides, const int64_t* b_strides, int32_t device,
                                  void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_scale(void* out, const void* a, int64_t count, int32_t dtype, double scale, double shift,
                                 int32_t device, void* stream, char* message, int32_t message_size);
/* Accumulates in float64 (int64 for integers), by a tree that the shape fixes. */
MAGI_API int32_t magi_cuda_sum(void* out, const void* in, int32_t dtype, int64_t outer, int64_t reduced, int64_t inner,
                               double scale, int32_t device, void* stream, char* message, int32_t message_size);
MAGI_API int32_t magi_cuda_copy_rows(void* out, int64_t out_stride, const void* in, int64_t in_stride, int64_t rows,
                                     int64_t row_elements, int32_t element_size, int32_t device, void* stream, char* message,
                                     int32_t message_size);
/* `index` lies on the device; the caller vouches for its values. */
MAGI_API int32_t magi_cuda_index_select(void* out, const void* in, const int64_t* index, int64_t outer, int64_t in_rows,
                                        int64_t out_rows, int64_t inner, int32_t element_size, int32_t device, void* stream,
                                        char* message, int32_t message_size);
/* Likewise. At most 2^31 - 1 rows on either side. */
MAGI_API int32_t magi_cuda_index_add(void* out, const void* in, const int64_t* index, int32_t dtype, int64_t outer,
                                     int64_t out_rows, int64_t in_rows, int64_t inner, int32_t device, void* stream,
                                     char* message, int32_t message_size);
/* By cuBLAS; float32 without TF32. MAGI_UNSUPPORTED where cuBLAS is not found. */
MAGI_API int32_t magi_cuda_matmul(void* out, const void* a, const void* b, int32_t dtype, int64_t m, int64_t n, int64_t k,
                                  int32_t transpose_a, int32_t transpose_b, int32_t device, void* stream, char* message,
                                  int32_t message_size);
/* Loads cuBLAS, if that has not happened. `path` gets the file it came from, `version` its version (130000 for 13.0.0). */
MAGI_API int32_t magi_cuda_find_cublas(char* path, int32_t path_size, int32_t* version, char* message, int32_t message_size);

#ifdef __cplusplus
}
#endif

#endif
