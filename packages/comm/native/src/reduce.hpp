// The local half of reductions: combines what came from other ranks into rows of the output, in the order of the plan.
#ifndef MAGI_COMM_REDUCE_HPP
#define MAGI_COMM_REDUCE_HPP

#include "lane.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

struct ReduceSlot {
  int64_t first_row;
  int64_t rows;
  int64_t divisor;
  std::vector<const char*> pieces;
  std::vector<const float*> piece_lses;
};

struct ReducePlan {
  int32_t op;
  int32_t out_dtype;
  int32_t piece_dtype;
  bool accumulate;
  int64_t row_elements;
  int64_t row_heads;
  char* out;
  float* out_lse;
  std::vector<ReduceSlot> slots;
};

class Reduce final : public Task {
 public:
  // Throws magi::Error for a plan that is not as comm.h says.
  Reduce(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length);

  // One bounded piece of work, so that other lanes move on in between.
  Step step(Lane& lane) override;

 private:
  ReducePlan plan_;
  size_t next_slot_ = 0;
  int64_t next_row_ = 0;  // of that slot
};

}  // namespace magi::comm

#endif
