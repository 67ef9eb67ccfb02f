#include "reduce.hpp"

#include "plan_reader.hpp"

#include <magi/float16.hpp>
#include <magi/status.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace magi::comm {

namespace {

constexpr int64_t kElementsPerStep = 256 << 10;
constexpr int64_t kBlock = 512;

struct Bfloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

template <typename A, typename T>
A load(T value) {
  if constexpr (std::is_same_v<T, Bfloat16>) return static_cast<A>(bf16_to_f32(value.bits));
  else if constexpr (std::is_same_v<T, Float16>) return static_cast<A>(f16_to_f32(value.bits));
  else return static_cast<A>(value);
}

template <typename T, typename A>
T store(A value) {
  if constexpr (std::is_same_v<T, Bfloat16>) return {f32_to_bf16(static_cast<float>(value))};
  else if constexpr (std::is_same_v<T, Float16>) return {f32_to_f16(static_cast<float>(value))};
  else return static_cast<T>(value);
}

// Signed overflow wraps.
template <typename A>
A add(A a, A b) {
  if constexpr (std::is_integral_v<A>) {
    return static_cast<A>(static_cast<std::make_unsigned_t<A>>(a) + static_cast<std::make_unsigned_t<A>>(b));
  } else {
    return a + b;
  }
}

// NaN wins, as in torch.
template <typename A>
A larger(A a, A b) {
  return b > a || b != b ? b : a;
}

template <typename Out, typename Piece, typename A>
void combine(const ReducePlan& plan, const ReduceSlot& slot, int64_t row, int64_t rows) {
  Out* const out = reinterpret_cast<Out*>(plan.out) + (slot.first_row + row) * plan.row_elements;
  const int64_t offset = row * plan.row_elements;
  const int64_t count = rows * plan.row_elements;
  const bool is_sum = plan.op == MAGI_REDUCE_SUM;
  A sums[kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin);
    size_t first = 0;
    if (plan.accumulate) {
      for (int64_t i = 0; i < size; ++i) sums[i] = load<A>(out[begin + i]);
    } else if (slot.pieces.empty()) {
      std::fill(sums, sums + size, A{0});
    } else {
      const Piece* piece = reinterpret_cast<const Piece*>(slot.pieces[first++]) + offset + begin;
      for (int64_t i = 0; i < size; ++i) sums[i] = load<A>(piece[i]);
    }
    for (size_t p = first; p < slot.pieces.size(); ++p) {
      const Piece* piece = reinterpret_cast<const Piece*>(slot.pieces[p]) + offset + begin;
      if (is_sum) {
        for (int64_t i = 0; i < size; ++i) sums[i] = add(sums[i], load<A>(piece[i]));
      } else {
        for (int64_t i = 0; i < size; ++i) sums[i] = larger(sums[i], load<A>(piece[i]));
      }
    }
    if (slot.divisor != 1) {
      for (int64_t i = 0; i < size; ++i) sums[i] = sums[i] / static_cast<A>(slot.divisor);
    }
    for (int64_t i = 0; i < size; ++i) out[begin + i] = store<Out>(sums[i]);
  }
}

// Online softmax: two partial results (o, lse) become one. What has lse -inf holds nothing, whatever o says.
template <typename A>
void merge(A* out, float* out_lse, const A* piece, float piece_lse, int64_t dim) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  if (piece_lse == kNothing) return;
  if (*out_lse == kNothing) {
    std::copy(piece, piece + dim, out);
    *out_lse = piece_lse;
    return;
  }
  const double highest = std::max(*out_lse, piece_lse);
  const double own = std::exp(*out_lse - highest);
  const double other = std::exp(piece_lse - highest);
  const A own_share = static_cast<A>(own / (own + other));
  const A other_share = static_cast<A>(other / (own + other));
  for (int64_t i = 0; i < dim; ++i) out[i] = own_share * out[i] + other_share * piece[i];
  *out_lse = static_cast<float>(highest + std::log(own + other));
}

template <typename Out, typename Piece, typename A>
void combine_lse(const ReducePlan& plan, const ReduceSlot& slot, int64_t row, int64_t rows) {
  if (slot.pieces.empty()) return;
  const int64_t dim = plan.row_elements / plan.row_heads;
  std::vector<A> sum(static_cast<size_t>(dim));
  std::vector<A> piece_values(static_cast<size_t>(dim));
  for (int64_t head = row * plan.row_heads; head < (row + rows) * plan.row_heads; ++head) {
    const int64_t out_head = slot.first_row * plan.row_heads + head;
    Out* const out = reinterpret_cast<Out*>(plan.out) + out_head * dim;
    float* const lse = plan.out_lse + out_head;
    const bool is_empty = !plan.accumulate || *lse == -std::numeric_limits<float>::infinity();
    if (is_empty) {
      *lse = -std::numeric_limits<float>::infinity();
      std::fill(sum.begin(), sum.end(), A{0});
    } else {
      for (int64_t i = 0; i < dim; ++i) sum[static_cast<size_t>(i)] = load<A>(out[i]);
    }
    for (size_t p = 0; p < slot.pieces.size(); ++p) {
      const Piece* piece = reinterpret_cast<const Piece*>(slot.pieces[p]) + head * dim;
      for (int64_t i = 0; i < dim; ++i) piece_values[static_cast<size_t>(i)] = load<A>(piece[i]);
      merge(sum.data(), lse, piece_values.data(), slot.piece_lses[p][head], dim);
    }
    for (int64_t i = 0; i < dim; ++i) out[i] = store<Out>(sum[static_cast<size_t>(i)]);
  }
}

template <typename Out, typename Piece>
void run(const ReducePlan& plan, const ReduceSlot& slot, int64_t row, int64_t rows) {
  constexpr bool is_double = std::is_same_v<Out, double> || std::is_same_v<Piece, double>;
  if constexpr (std::is_integral_v<Out>) {
    combine<Out, Piece, int64_t>(plan, slot, row, rows);
  } else {
    using A = std::conditional_t<is_double, double, float>;
    if (plan.op == MAGI_REDUCE_LSE) {
      combine_lse<Out, Piece, A>(plan, slot, row, rows);
    } else {
      combine<Out, Piece, A>(plan, slot, row, rows);
    }
  }
}

template <typename Out>
void run_with_pieces(const ReducePlan& plan, const ReduceSlot& slot, int64_t row, int64_t rows) {
  if constexpr (std::is_integral_v<Out>) {
    run<Out, Out>(plan, slot, row, rows);
  } else {
    switch (plan.piece_dtype) {
      case MAGI_FLOAT32: return run<Out, float>(plan, slot, row, rows);
      case MAGI_BFLOAT16: return run<Out, Bfloat16>(plan, slot, row, rows);
      case MAGI_FLOAT16: return run<Out, Float16>(plan, slot, row, rows);
      default: return run<Out, double>(plan, slot, row, rows);
    }
  }
}

void run_rows(const ReducePlan& plan, const ReduceSlot& slot, int64_t row, int64_t rows) {
  switch (plan.out_dtype) {
    case MAGI_FLOAT32: return run_with_pieces<float>(plan, slot, row, rows);
    case MAGI_BFLOAT16: return run_with_pieces<Bfloat16>(plan, slot, row, rows);
    case MAGI_FLOAT16: return run_with_pieces<Float16>(plan, slot, row, rows);
    case MAGI_FLOAT64: return run_with_pieces<double>(plan, slot, row, rows);
    case MAGI_INT32: return run_with_pieces<int32_t>(plan, slot, row, rows);
    default: return run_with_pieces<int64_t>(plan, slot, row, rows);
  }
}

bool is_integer(int32_t dtype) { return dtype == MAGI_INT32 || dtype == MAGI_INT64; }

}  // namespace

Reduce::Reduce(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length)
    : Task(std::move(call), std::move(after)) {
  PlanReader reader(plan, plan_length);
  plan_.op = reader.index("op", MAGI_REDUCE_LSE + 1);
  plan_.out_dtype = reader.index("out_dtype", MAGI_INT64 + 1);
  plan_.piece_dtype = reader.index("piece_dtype", MAGI_INT64 + 1);
  plan_.accumulate = reader.next() != 0;
  plan_.row_elements = reader.bytes();
  plan_.row_heads = reader.bytes();
  plan_.out = reader.address();
  plan_.out_lse = reinterpret_cast<float*>(reader.address());
  const bool is_lse = plan_.op == MAGI_REDUCE_LSE;
  if (is_integer(plan_.out_dtype) || is_integer(plan_.piece_dtype)) {
    check(plan_.out_dtype == plan_.piece_dtype && !is_lse, "plan: integers reduce into their own dtype, not by lse");
  }
  check(!is_lse || (plan_.row_heads > 0 && plan_.row_elements % plan_.row_heads == 0), "plan: rows of whole heads expected");
  const int64_t num_slots = reader.count("num_slots");
  for (int64_t i = 0; i < num_slots; ++i) {
    ReduceSlot slot;
    slot.first_row = reader.bytes();
    slot.rows = reader.bytes();
    slot.divisor = reader.bytes();
    check(slot.divisor >= 1, "plan: expected a divisor of at least 1");
    const int64_t num_pieces = reader.count("num_pieces");
    for (int64_t j = 0; j < num_pieces; ++j) {
      slot.pieces.push_back(reader.address());
      slot.piece_lses.push_back(reinterpret_cast<const float*>(reader.address()));
    }
    if (slot.rows > 0) plan_.slots.push_back(std::move(slot));
  }
  reader.finish();
}

Step Reduce::step(Lane&) {
  if (plan_.row_elements == 0) return Step::kFinished;
  for (int64_t budget = kElementsPerStep; budget > 0 && next_slot_ < plan_.slots.size();) {
    const ReduceSlot& slot = plan_.slots[next_slot_];
    const int64_t cost = plan_.row_elements * (static_cast<int64_t>(slot.pieces.size()) + 1);
    const int64_t rows = std::clamp<int64_t>(budget / cost, 1, slot.rows - next_row_);
    run_rows(plan_, slot, next_row_, rows);
    budget -= rows * cost;
    next_row_ += rows;
    if (next_row_ == slot.rows) {
      next_row_ = 0;
      ++next_slot_;
    }
  }
  return next_slot_ == plan_.slots.size() ? Step::kFinished : Step::kMoved;
}

}  // namespace magi::comm
