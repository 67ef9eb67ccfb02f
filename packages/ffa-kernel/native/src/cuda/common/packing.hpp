// How query heads are packed into the rows of a tile: row r is token r / packed of head r % packed. All query heads of a group
// read the same keys, so a tile of packed heads spans fewer tokens, and less of it is masked.
#ifndef MAGI_FFA_CUDA_PACKING_HPP
#define MAGI_FFA_CUDA_PACKING_HPP

#include <cstdint>

namespace magi::ffa {

// log2 of the number of heads in a tile of so many rows: the whole group where it fits, else one.
inline int32_t packing_shift(int32_t group_size, int32_t rows) {
  if (group_size > rows || (group_size & (group_size - 1)) != 0) return 0;
  int32_t shift = 0;
  while ((1 << shift) < group_size) ++shift;
  return shift;
}

}  // namespace magi::ffa

#endif
