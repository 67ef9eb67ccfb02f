#include "../common/packing.hpp"
#include "../params.hpp"
#include "shapes.hpp"

namespace magi::ffa::sm80 {

bool supports(int32_t head_dim) { return head_dim > 0 && head_dim <= 256 && head_dim % 8 == 0; }

TileSizes tile_sizes(int32_t head_dim, int32_t group_size) {
  return with_head_dim(head_dim, [&](auto dim) {
    using Forward = ForwardShape<decltype(dim)::value>;
    using Backward = BackwardShape<decltype(dim)::value>;
    return TileSizes{Forward::kRows >> packing_shift(group_size, Forward::kRows / 2), Forward::kCols, Backward::kRows,
                     Backward::kCols >> packing_shift(group_size, Backward::kCols)};
  });
}

}  // namespace magi::ffa::sm80
