// What the emulated driver writes into a CUtensorMap, and the copies that it describes.
#pragma once

#include <cstdint>

#include <cuda.h>

namespace emulator {

struct TensorMap {
  static constexpr uint64_t kMark = 0x7465736e6f72206dull;
  static constexpr int kMaxRank = 5;

  uint64_t mark;
  char* tensor;
  uint64_t sizes[kMaxRank];        // elements; the innermost dimension first
  uint64_t strides[kMaxRank - 1];  // bytes; of all but the innermost
  uint16_t box[kMaxRank];
  uint8_t rank;
  uint8_t element_bytes;

  static const TensorMap& of(const CUtensorMap* map);
  uint32_t box_bytes() const;
};
static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

// Between a box of the tensor and shared memory, swizzled. Beyond the tensor there are zeros, and nothing is written.
void load_box(const TensorMap& map, char* shared, uint32_t shared_address, const int (&at)[TensorMap::kMaxRank]);
void store_box(const TensorMap& map, const char* shared, uint32_t shared_address, const int (&at)[TensorMap::kMaxRank]);

}  // namespace emulator
