#include "cublas.hpp"

#include "cuda_call.hpp"

#include <magi/tensor_cuda.h>

#include <dlfcn.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace magi {
namespace {

// Without this, parts of a product of 16-bit matrices may be added in 16 bits.
constexpr int kDisallowReducedPrecisionReduction = 16;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_folder(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Files to try, in order. A name without a folder is for the system's loader, which knows LD_LIBRARY_PATH.
std::vector<std::string> candidates() {
  std::vector<std::string> found;
  const auto add_names = [&](const std::string& folder) {
    for (const char* name : {"libcublas.so.13", "libcublas.so.12"}) found.push_back(folder + name);
  };
  const std::string chosen = variable("MAGI_ATTENTION_CUBLAS_LIB");
  if (!chosen.empty()) {
    if (is_folder(chosen)) add_names(chosen + "/");
    else found.push_back(chosen);
    return found;
  }
  add_names("");
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string home = variable(name);
    if (!home.empty()) add_names(home + "/lib64/");
  }
  add_names("/usr/local/cuda/lib64/");
  return found;
}

void* open_library(const std::string& path) {
  // cuBLAS needs libcublasLt, which lies beside it but not always where the loader looks.
  const size_t slash = path.rfind('/');
  const size_t ending = path.rfind(".so");
  if (slash != std::string::npos && ending != std::string::npos && ending > slash) {
    dlopen((path.substr(0, slash + 1) + "libcublasLt" + path.substr(ending)).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

template <typename Function>
void bind(void* library, Function& function, const char* name, const std::string& path) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) fail(MAGI_UNSUPPORTED, "%s has no %s: cuBLAS 12 or newer is needed", path.c_str(), name);
  function = reinterpret_cast<Function>(symbol);
}

Cublas load() {
  std::string tried;
  for (const std::string& path : candidates()) {
    tried += (tried.empty() ? "" : ", ") + path;
    void* library = open_library(path);
    if (library == nullptr) continue;
    Cublas found;
    found.path = path;
    bind(library, found.create, "cublasCreate_v2", path);
    bind(library, found.destroy, "cublasDestroy_v2", path);
    bind(library, found.set_stream, "cublasSetStream_v2", path);
    bind(library, found.set_math_mode, "cublasSetMathMode", path);
    bind(library, found.get_property, "cublasGetProperty", path);
    bind(library, found.status_string, "cublasGetStatusString", path);
    bind(library, found.gemm, "cublasGemmEx_64", path);
    for (const int part : {0, 1, 2}) {  // major, minor, patch
      int value = 0;
      found.get_property(part, &value);
      found.version = found.version * 100 + value;
    }
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(found.create), &info) != 0 && info.dli_fname != nullptr) found.path = info.dli_fname;
    return found;
  }
  fail(MAGI_UNSUPPORTED, "cuBLAS was not found; MAGI_ATTENTION_CUBLAS_LIB can name libcublas.so or its folder (tried %s)",
       tried.c_str());
}

std::mutex& handles_mutex() {
  static std::mutex mutex;
  return mutex;
}

std::map<std::pair<int32_t, cudaStream_t>, CublasHandle>& handles() {
  // Never destroyed: at the end of the process the driver may be gone before it.
  static auto* const map = new std::map<std::pair<int32_t, cudaStream_t>, CublasHandle>();
  return *map;
}

}  // namespace

const Cublas& cublas() {
  static std::mutex mutex;
  static std::unique_ptr<Cublas> loaded;
  const std::lock_guard<std::mutex> lock(mutex);
  if (loaded == nullptr) loaded = std::make_unique<Cublas>(load());
  return *loaded;
}

void check_cublas(int status, const char* what) {
  if (status == 0) return;
  constexpr int kAllocationFailed = 3;
  fail(status == kAllocationFailed ? MAGI_OUT_OF_MEMORY : MAGI_DEVICE_ERROR, "%s: %s", what, cublas().status_string(status));
}

CublasHandle cublas_handle(int32_t device, cudaStream_t stream) {
  const Cublas& library = cublas();
  const std::lock_guard<std::mutex> lock(handles_mutex());
  CublasHandle& handle = handles()[{device, stream}];
  if (handle == nullptr) {
    CublasHandle created = nullptr;
    int status = library.create(&created);
    if (status != 0) {
      // cuBLAS takes memory of the device itself, which the pool may hold although nobody uses it.
      trim_pool(device);
      status = library.create(&created);
    }
    check_cublas(status, "cublasCreate");
    check_cublas(library.set_stream(created, stream), "cublasSetStream");
    check_cublas(library.set_math_mode(created, kDisallowReducedPrecisionReduction), "cublasSetMathMode");
    handle = created;
  }
  return handle;
}

void release_cublas(int32_t device, cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(handles_mutex());
  const auto found = handles().find({device, stream});
  if (found == handles().end()) return;
  if (found->second != nullptr) cublas().destroy(found->second);
  handles().erase(found);
}

}  // namespace magi

int32_t magi_cuda_find_cublas(char* path, int32_t path_size, int32_t* version, char* message, int32_t message_size) {
  using namespace magi;
  return guarded(message, message_size, [&] {
    const Cublas& found = cublas();
    write_message(path, path_size, found.path.c_str());
    *version = found.version;
  });
}
