#include "tensor_map.hpp"

#include <cudaTypedefs.h>

#include <magi/abi.h>

#include "../common/cuda_check.hpp"

namespace magi::ffa::sm90 {
namespace {

constexpr cuuint64_t kElementBytes = 2;
constexpr cuuint64_t kPanelElements = 64;

// Looked up at run time: the library must load where there is no driver.
PFN_cuTensorMapEncodeTiled_v12000 find_encoder() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found),
             "cuTensorMapEncodeTiled");
  if (found != cudaDriverEntryPointSuccess || entry == nullptr) {
    fail(MAGI_UNSUPPORTED, "the driver has no cuTensorMapEncodeTiled: expected one for CUDA 12.0 or later");
  }
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(entry);
}

CUtensorMap encode(const void* tensor, int32_t dtype, uint32_t rank, const cuuint64_t* sizes, const cuuint64_t* strides,
                   const cuuint32_t* box) {
  static const PFN_cuTensorMapEncodeTiled_v12000 encoder = find_encoder();
  const cuuint32_t ones[] = {1, 1, 1, 1, 1};
  const CUtensorMapDataType type =
      dtype == MAGI_BFLOAT16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  CUtensorMap map;
  const CUresult result =
      encoder(&map, type, rank, const_cast<void*>(tensor), sizes, strides, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
              CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    fail(MAGI_DEVICE_ERROR, "cuTensorMapEncodeTiled failed with code %d: expected a 16-byte aligned tensor of fewer than 2^32 rows",
         static_cast<int>(result));
  }
  return map;
}

// The innermost axis: a panel, and the panels of a row are an axis of their own. Where a row ends within a panel, it is the whole
// row, since what lies behind it is not to be read.
struct RowAxis {
  cuuint64_t elements;
  cuuint64_t panels;  // of a box

  explicit RowAxis(int head_dim)
      : elements(head_dim % kPanelElements == 0 ? kPanelElements : static_cast<cuuint64_t>(head_dim)),
        panels(static_cast<cuuint64_t>(head_dim) / elements) {}
};

}  // namespace

CUtensorMap query_map(const void* tensor, int32_t dtype, int64_t tokens, int num_heads, int head_dim, int packed, int rows) {
  const cuuint64_t heads = static_cast<cuuint64_t>(num_heads);
  const cuuint64_t dim = static_cast<cuuint64_t>(head_dim);
  const cuuint64_t group = static_cast<cuuint64_t>(packed);
  const RowAxis row(head_dim);
  const cuuint64_t sizes[] = {row.elements, group, static_cast<cuuint64_t>(tokens), row.panels, heads / group};
  const cuuint64_t strides[] = {dim * kElementBytes, heads * dim * kElementBytes, kPanelElements * kElementBytes,
                                group * dim * kElementBytes};
  const cuuint32_t box[] = {kPanelElements, static_cast<cuuint32_t>(packed), static_cast<cuuint32_t>(rows / packed),
                            static_cast<cuuint32_t>(row.panels), 1};
  return encode(tensor, dtype, 5, sizes, strides, box);
}

CUtensorMap key_map(const void* tensor, int32_t dtype, int64_t tokens, int num_heads, int head_dim, int rows) {
  const cuuint64_t heads = static_cast<cuuint64_t>(num_heads);
  const cuuint64_t dim = static_cast<cuuint64_t>(head_dim);
  const RowAxis row(head_dim);
  const cuuint64_t sizes[] = {row.elements, static_cast<cuuint64_t>(tokens), row.panels, heads};
  const cuuint64_t strides[] = {heads * dim * kElementBytes, kPanelElements * kElementBytes, dim * kElementBytes};
  const cuuint32_t box[] = {kPanelElements, static_cast<cuuint32_t>(rows), static_cast<cuuint32_t>(row.panels), 1};
  return encode(tensor, dtype, 4, sizes, strides, box);
}

}  // namespace magi::ffa::sm90
