#include "segment.hpp"

#include "outcome.hpp"

#include <fcntl.h>
#include <magi/status.hpp>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace magi::comm {

namespace {

[[noreturn]] void fail_system(const char* what, int error) {
  const bool is_full = error == ENOSPC || error == ENOMEM || error == EFBIG || error == EDQUOT;
  fail(is_full ? MAGI_OUT_OF_MEMORY : MAGI_INTERNAL, "%s: %s%s", what, std::strerror(error),
       is_full ? " (/dev/shm is too small: enlarge it, or choose smaller buffers)" : "");
}

std::string random_name() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof(bytes), 0) != static_cast<ssize_t>(sizeof(bytes))) {
    fail_system("random name of a shared memory segment", errno);
  }
  std::string name = "/magi-";
  for (const unsigned char byte : bytes) {
    char hex[3];
    std::snprintf(hex, sizeof(hex), "%02x", byte);
    name += hex;
  }
  return name;
}

}  // namespace

Segment::Segment(Segment&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

Segment& Segment::operator=(Segment&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

Segment::~Segment() {
  if (file_ >= 0) close(file_);
}

Segment Segment::create(std::string* name) {
  *name = random_name();
  const int file = shm_open(name->c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) fail_system("creating a shared memory segment", errno);
  return Segment(file);
}

Segment Segment::open(const std::string& name) {
  const int file = shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (file < 0) fail_system("opening the shared memory segment of the job", errno);
  Segment segment(file);
  struct stat info;
  if (fstat(file, &info) != 0) fail_system("inspecting the shared memory segment", errno);
  check(info.st_uid == geteuid() && (info.st_mode & 077) == 0,
        "the shared memory segment of the job belongs to user %d, expected one of this user's own",
        static_cast<int>(info.st_uid));
  return segment;
}

void Segment::unlink(const std::string& name) { shm_unlink(name.c_str()); }

void Segment::extend(int64_t size) const {
  struct stat info;
  if (fstat(file_, &info) != 0) fail_system("inspecting the shared memory segment", errno);
  if (info.st_size < size && ftruncate(file_, size) != 0) fail_system("growing the shared memory segment", errno);
}

void Segment::allocate(int64_t offset, int64_t bytes) const {
  int error;
  do error = posix_fallocate(file_, offset, bytes);
  while (error == EINTR);
  if (error == 0) return;
  char what[100];
  std::snprintf(what, sizeof(what), "allocating %lld bytes of shared memory", static_cast<long long>(bytes));
  fail_system(what, error);
}

char* Segment::map(int64_t offset, int64_t bytes) const {
  void* address = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file_, offset);
  if (address == MAP_FAILED) fail_system("mapping shared memory", errno);
  return static_cast<char*>(address);
}

void Segment::discard(int64_t offset, int64_t bytes) const noexcept {
  // Memory is freed with the file at the latest, so a failure here does not matter.
  [[maybe_unused]] const int result = fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

int64_t free_shared_memory() {
  struct statvfs info;
  if (statvfs("/dev/shm", &info) != 0) return INT64_MAX;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

std::string host_identity() {
  char boot[64] = "";
  if (FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re")) {
    if (std::fscanf(file, "%63s", boot) != 1) boot[0] = '\0';
    std::fclose(file);
  }
  if (boot[0] == '\0') gethostname(boot, sizeof(boot) - 1);
  // Containers of one machine share the kernel, but perhaps not /dev/shm.
  struct stat info;
  const unsigned long long device = stat("/dev/shm", &info) == 0 ? static_cast<unsigned long long>(info.st_dev) : 0;
  return std::string(boot) + ":" + std::to_string(device);
}

}  // namespace magi::comm
