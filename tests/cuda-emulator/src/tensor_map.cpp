#include "emulator/tensor_map.hpp"

#include <cstring>

#include "emulator/block.hpp"

namespace emulator {
namespace {

// Calls visit(element of the tensor or null, byte offset in shared memory) for all elements of the box.
template <typename Visit>
void visit_box(const TensorMap& map, uint32_t shared_address, const int (&at)[TensorMap::kMaxRank], const Visit& visit) {
  if (shared_address % 1024 != 0) throw KernelError("TMA: a swizzled box at an address that is not a multiple of 1024");
  uint32_t index[TensorMap::kMaxRank] = {};
  for (uint32_t linear = 0;; ++linear) {
    bool inside = true;
    char* element = map.tensor;
    for (int d = 0; d < map.rank; ++d) {
      const int64_t place = int64_t{at[d]} + index[d];
      inside = inside && place >= 0 && place < static_cast<int64_t>(map.sizes[d]);
      element += place * static_cast<int64_t>(d == 0 ? map.element_bytes : map.strides[d - 1]);
    }
    const uint32_t offset = linear * map.element_bytes;
    visit(inside ? element : nullptr, offset ^ (offset >> 7 & 7) << 4);
    int d = 0;
    while (d < map.rank && ++index[d] == map.box[d]) index[d++] = 0;
    if (d == map.rank) return;
  }
}

}  // namespace

const TensorMap& TensorMap::of(const CUtensorMap* map) {
  const auto& found = *reinterpret_cast<const TensorMap*>(map);
  if (found.mark != kMark) throw KernelError("TMA: a tensor map that was not encoded");
  return found;
}

uint32_t TensorMap::box_bytes() const {
  uint32_t bytes = element_bytes;
  for (int d = 0; d < rank; ++d) bytes *= box[d];
  return bytes;
}

void load_box(const TensorMap& map, char* shared, uint32_t shared_address, const int (&at)[TensorMap::kMaxRank]) {
  visit_box(map, shared_address, at, [&](const char* element, uint32_t offset) {
    if (element == nullptr) std::memset(shared + offset, 0, map.element_bytes);
    else std::memcpy(shared + offset, element, map.element_bytes);
  });
}

void store_box(const TensorMap& map, const char* shared, uint32_t shared_address, const int (&at)[TensorMap::kMaxRank]) {
  visit_box(map, shared_address, at, [&](char* element, uint32_t offset) {
    if (element != nullptr) std::memcpy(element, shared + offset, map.element_bytes);
  });
}

}  // namespace emulator
