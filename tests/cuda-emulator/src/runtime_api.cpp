// The functions of the CUDA runtime that the libraries call, for the emulated device. Everything happens at once: streams are only
// names, and what is enqueued is done when the call returns.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include <cuda.h>
#include <cuda_runtime.h>

#include "emulator/block.hpp"
#include "emulator/device.hpp"
#include "emulator/launch.hpp"
#include "emulator/tensor_map.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) (static_cast<void>(address), static_cast<void>(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) (static_cast<void>(address), static_cast<void>(bytes))
#endif

namespace emulator {
namespace {

constexpr size_t kAlignment = 512;
constexpr size_t kGuardBytes = 512;  // behind each piece of memory; written by nobody
constexpr unsigned char kPoison = 0xff;
constexpr size_t kUnaskedSharedMemory = 48 << 10;
constexpr size_t kMostSharedMemory = 227 << 10;

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

cudaError_t fails(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool is_device(int device) { return device >= 0 && device < options().num_devices; }

uint64_t variable(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

// Device memory, which is the processor's. What is given back is kept for later, like in the pool of a GPU.
class Memory {
 public:
  void* take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t size = (bytes + kGuardBytes + kAlignment - 1) / kAlignment * kAlignment;
    if (size > options().memory_bytes - used_) return nullptr;
    void* memory = nullptr;
    const auto kept = kept_.find(size);
    if (kept != kept_.end()) {
      memory = kept->second;
      kept_.erase(kept);
    } else {
      if (size > options().memory_bytes - reserved_) free_kept();
      memory = std::aligned_alloc(kAlignment, size);
      if (memory == nullptr) return nullptr;
      reserved_ += size;
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    std::memset(memory, kPoison, size);
    ASAN_POISON_MEMORY_REGION(static_cast<char*>(memory) + bytes, size - bytes);
    pieces_[memory] = {bytes, size};
    used_ += size;
    return memory;
  }

  bool give_back(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = pieces_.find(memory);
    if (found == pieces_.end()) return false;
    const Piece piece = found->second;
    ASAN_UNPOISON_MEMORY_REGION(memory, piece.size);
    const auto* end = static_cast<const unsigned char*>(memory) + piece.bytes;
    for (size_t i = 0; i < kGuardBytes; ++i) {
      if (end[i] == kPoison) continue;
      std::fprintf(stderr, "CUDA emulator: byte %zu behind a piece of %zu bytes was written\n", i, piece.bytes);
      std::abort();
    }
    std::memset(memory, kPoison, piece.bytes);  // whoever still reads it gets NaN
    ASAN_POISON_MEMORY_REGION(memory, piece.size);
    pieces_.erase(found);
    kept_.emplace(piece.size, memory);
    used_ -= piece.size;
    return true;
  }

  void trim() {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_kept();
  }
  size_t used() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return used_;
  }
  size_t reserved() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return reserved_;
  }

 private:
  struct Piece {
    size_t bytes;  // that were asked for
    size_t size;
  };

  void free_kept() {
    for (const auto& [size, memory] : kept_) {
      ASAN_UNPOISON_MEMORY_REGION(memory, size);
      std::free(memory);
      reserved_ -= size;
    }
    kept_.clear();
  }

  std::mutex mutex_;
  std::map<void*, Piece> pieces_;
  std::multimap<size_t, void*> kept_;
  size_t used_ = 0;
  size_t reserved_ = 0;
};

Memory& memory() {
  static auto* const all = new Memory();
  return *all;
}

std::mutex& kernels_mutex() {
  static std::mutex mutex;
  return mutex;
}
// What each kernel was told of its dynamic shared memory.
std::map<const void*, size_t>& shared_memory_of_kernels() {
  static auto* const all = new std::map<const void*, size_t>();
  return *all;
}

CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* tensor, const cuuint64_t* sizes,
                           const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* element_strides,
                           CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion,
                           CUtensorMapFloatOOBfill fill) {
  const bool is_16_bit = type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 || type == CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  if (!is_16_bit || rank < 3 || rank > TensorMap::kMaxRank || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      swizzle != CU_TENSOR_MAP_SWIZZLE_128B || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ||
      reinterpret_cast<uintptr_t>(tensor) % 16 != 0 || box[0] * 2 != 128) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  TensorMap described{};
  described.mark = TensorMap::kMark;
  described.tensor = static_cast<char*>(tensor);
  described.rank = static_cast<uint8_t>(rank);
  described.element_bytes = 2;
  for (cuuint32_t d = 0; d < rank; ++d) {
    if (sizes[d] == 0 || sizes[d] > (uint64_t{1} << 32) || box[d] == 0 || box[d] > 256 || element_strides[d] != 1) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    described.sizes[d] = sizes[d];
    described.box[d] = static_cast<uint16_t>(box[d]);
    if (d == 0) continue;
    if (strides[d - 1] % 16 != 0 || strides[d - 1] >= (uint64_t{1} << 40)) return CUDA_ERROR_INVALID_VALUE;
    described.strides[d - 1] = strides[d - 1];
  }
  std::memset(map, 0, sizeof(*map));
  std::memcpy(map, &described, sizeof(described));
  return CUDA_SUCCESS;
}

}  // namespace

const Options& options() {
  static const Options found = {variable("MAGI_CUDA_EMULATOR_SEED", 1), static_cast<int>(variable("MAGI_CUDA_EMULATOR_SMS", 3)),
                                variable("MAGI_CUDA_EMULATOR_MEMORY", uint64_t{1} << 30),
                                static_cast<int>(variable("MAGI_CUDA_EMULATOR_DEVICES", 1))};
  return found;
}

cudaError_t run_kernel(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body) {
  size_t allowed = kUnaskedSharedMemory;
  {
    const std::lock_guard<std::mutex> lock(kernels_mutex());
    const auto found = shared_memory_of_kernels().find(kernel);
    if (found != shared_memory_of_kernels().end()) allowed = std::max(allowed, found->second);
  }
  const uint64_t threads = uint64_t{config.blockDim.x} * config.blockDim.y * config.blockDim.z;
  const uint64_t blocks = uint64_t{config.gridDim.x} * config.gridDim.y * config.gridDim.z;
  if (config.dynamicSmemBytes > allowed || threads == 0 || threads > 1024 || blocks == 0) return fails(cudaErrorInvalidValue);
  try {
    run_launch({config.gridDim, config.blockDim, config.dynamicSmemBytes, std::move(body)});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "CUDA emulator: %s\n", error.what());
    return fails(cudaErrorLaunchFailure);
  }
  return cudaSuccess;
}

}  // namespace emulator

using emulator::fails;

struct CUstream_st {
  unsigned long long id;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(emulator::last_error, cudaSuccess); }
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    default: return "cudaErrorUnknown";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorLaunchFailure: return "the emulated kernel failed; see what was printed";
    default: return "an error of the CUDA emulator";
  }
}

// ---- devices ----

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulator::options().num_devices;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (!emulator::is_device(device)) return fails(cudaErrorInvalidDevice);
  emulator::current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = emulator::current_device;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!emulator::is_device(device)) return fails(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = emulator::options().num_sms; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = emulator::kMostSharedMemory; break;
    case cudaDevAttrMemoryPoolsSupported: *value = 1; break;
    default: return fails(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!emulator::is_device(device)) return fails(cudaErrorInvalidDevice);
  *properties = cudaDeviceProp{};
  std::snprintf(properties->name, sizeof(properties->name), "CUDA emulator");
  properties->totalGlobalMem = emulator::options().memory_bytes;
  properties->major = 9;
  properties->multiProcessorCount = emulator::options().num_sms;
  properties->l2CacheSize = 1 << 20;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* lowest, int* highest) {
  *lowest = 0;
  *highest = -1;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value > static_cast<int>(emulator::kMostSharedMemory)) {
    return fails(cudaErrorInvalidValue);
  }
  const std::lock_guard<std::mutex> lock(emulator::kernels_mutex());
  emulator::shared_memory_of_kernels()[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned int, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(&emulator::encode_tensor_map) : nullptr;
  if (result != nullptr) *result = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// ---- memory ----

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) {
  *pointer = emulator::memory().take(bytes);
  return *pointer == nullptr ? fails(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) {
  return emulator::memory().give_back(pointer) ? cudaSuccess : fails(cudaErrorInvalidValue);
}
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned int) {
  *pointer = std::malloc(bytes);
  return *pointer == nullptr ? fails(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *total_bytes = emulator::options().memory_bytes;
  *free_bytes = *total_bytes - emulator::memory().reserved();
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void* memory, size_t pitch, int value, size_t width, size_t height, cudaStream_t) {
  for (size_t row = 0; row < height; ++row) std::memset(static_cast<char*>(memory) + row * pitch, value, width);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  const bool reserved = attribute == cudaMemPoolAttrReservedMemCurrent;
  *static_cast<uint64_t*>(value) = reserved ? emulator::memory().reserved() : emulator::memory().used();
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
  emulator::memory().trim();
  return cudaSuccess;
}

// ---- streams and events ----

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int, int) {
  static std::atomic<unsigned long long> ids{1};
  *stream = new CUstream_st{++ids};
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  *id = stream == nullptr ? 0 : stream->id;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned int) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
  *event = new CUevent_st{};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

}  // extern "C"
