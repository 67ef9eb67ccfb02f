#include "workspace.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace magi::ffa {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// What the cache may hold: enough for the buffers of one training step at tens of thousands of tokens.
constexpr size_t kCacheBytes = size_t{256} << 20;

struct Block {
  void* data;
  size_t bytes;
};

struct Cache {
  std::mutex mutex;
  std::vector<Block> blocks;
  size_t bytes = 0;
};

// Never destroyed: a call may still run on another thread while the process ends.
Cache& cache() {
  static Cache* instance = new Cache;
  return *instance;
}

void release(void* data) { ::operator delete(data, std::align_val_t{kHugePage}); }

}  // namespace

Workspace::Workspace(size_t bytes) {
  const size_t wanted = std::max(bytes, size_t{1} << 16);
  {
    Cache& kept = cache();
    const std::lock_guard<std::mutex> lock(kept.mutex);
    auto best = kept.blocks.end();
    for (auto it = kept.blocks.begin(); it != kept.blocks.end(); ++it) {
      if (it->bytes >= wanted && (best == kept.blocks.end() || it->bytes < best->bytes)) best = it;
    }
    // A block more than four times too large stays for a call that needs it.
    if (best != kept.blocks.end() && best->bytes / 4 <= wanted) {
      block_ = best->data;
      bytes_ = best->bytes;
      kept.bytes -= best->bytes;
      kept.blocks.erase(best);
      return;
    }
  }
  bytes_ = wanted >= kHugePage ? (wanted + kHugePage - 1) / kHugePage * kHugePage : wanted;
  block_ = ::operator new(bytes_, std::align_val_t{kHugePage});
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes_ >= 2 * kHugePage) madvise(block_, bytes_, MADV_HUGEPAGE);
#endif
}

Workspace::~Workspace() {
  Cache& kept = cache();
  std::vector<Block> dropped;
  {
    const std::lock_guard<std::mutex> lock(kept.mutex);
    try {
      kept.blocks.push_back({block_, bytes_});
      kept.bytes += bytes_;
      dropped.reserve(kept.blocks.size());
    } catch (const std::bad_alloc&) {
      if (!kept.blocks.empty() && kept.blocks.back().data == block_) {
        kept.blocks.pop_back();
        kept.bytes -= bytes_;
      }
      release(block_);
      return;
    }
    while (kept.bytes > kCacheBytes) {
      dropped.push_back(kept.blocks.front());
      kept.bytes -= kept.blocks.front().bytes;
      kept.blocks.erase(kept.blocks.begin());
    }
  }
  for (const Block& block : dropped) release(block.data);
}

}  // namespace magi::ffa
