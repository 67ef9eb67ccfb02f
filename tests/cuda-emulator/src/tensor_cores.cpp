#include "tensor_cores.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "emulator/block.hpp"
#include "emulator/numbers.hpp"

namespace emulator {
namespace {

constexpr int kThreads = Warpgroup::kThreads;

// The PTX ISA, "Register Fragments and Shared Memory Matrix Layouts" of wgmma.
struct FragmentPlace {
  int row;
  int col;
};
FragmentPlace accumulator_place(int thread, int i) {
  const int warp = thread / 32, lane = thread % 32;
  return {16 * warp + lane / 4 + 8 * (i / 2 % 2), 8 * (i / 4) + 2 * (lane % 4) + i % 2};
}

// A matrix in shared memory, behind its descriptor: 128-byte swizzle, the only one that is used.
class SharedMatrix {
 public:
  SharedMatrix(uint64_t descriptor, bool transposed)
      : start_(static_cast<uint32_t>(descriptor & 0x3fff) << 4),
        leading_(static_cast<uint32_t>(descriptor >> 16 & 0x3fff) << 4),
        stride_(static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4),
        transposed_(transposed) {
    if (descriptor >> 62 != 1) throw KernelError("a matrix descriptor without 128-byte swizzle");
    if ((descriptor >> 49 & 7) != 0) throw KernelError("a matrix descriptor with a base offset");
  }

  // Element k of row (or column) mn.
  uint16_t at(int mn, int k) const {
    const uint32_t unit_row = static_cast<uint32_t>(transposed_ ? k : mn);
    const uint32_t in_row = static_cast<uint32_t>(transposed_ ? mn : k);
    uint32_t address = start_ + unit_row / 8 * stride_ + unit_row % 8 * 128 + in_row * 2;
    if (transposed_) address += in_row / 64 * (leading_ - 128);
    address ^= (address >> 7 & 7) << 4;
    uint16_t bits;
    block().check_fenced(address);
    std::memcpy(&bits, block().at_shared(address, 2), 2);
    return bits;
  }

 private:
  uint32_t start_, leading_, stride_;
  bool transposed_;
};

}  // namespace

void Warpgroup::enter(Accumulator& accumulator, int thread, float* d) {
  accumulator.d[thread] = d;
  for (int i = 0; i < accumulator.columns / 2; ++i) {
    const FragmentPlace place = accumulator_place(thread, i);
    accumulator.values[static_cast<size_t>(place.row * accumulator.columns + place.col)] = d[i];
    d[i] = NAN;
  }
}

void Warpgroup::leave(Accumulator& accumulator, int thread) {
  float* d = accumulator.d[thread];
  accumulator.d[thread] = nullptr;
  for (int i = 0; i < accumulator.columns / 2; ++i) {
    const FragmentPlace place = accumulator_place(thread, i);
    d[i] = accumulator.values[static_cast<size_t>(place.row * accumulator.columns + place.col)];
  }
}

void Warpgroup::issue(int thread, const ProductShape& shape, float* d, uint64_t a, const uint32_t* a_registers, uint64_t b,
                      bool add) {
  const int64_t number = issued_[thread]++;
  std::shared_ptr<Accumulator> own;
  for (const auto& accumulator : accumulators_) {
    if (accumulator->d[thread] == d) own = accumulator;
  }
  if (number == first_ + static_cast<int64_t>(products_.size())) {
    Product product;
    product.shape = shape;
    product.a = a;
    product.b = b;
    product.add = add;
    product.reads_late = block().chance(2);
    product.accumulator = own;
    if (own == nullptr) {
      product.accumulator = std::make_shared<Accumulator>();
      product.accumulator->columns = shape.columns;
      product.accumulator->values.assign(static_cast<size_t>(kRows * shape.columns), NAN);
      accumulators_.push_back(product.accumulator);
    }
    products_.push_back(std::move(product));
  }
  Product& product = products_[static_cast<size_t>(number - first_)];
  if (!(product.shape == shape) || product.b != b || product.add != add || (!shape.a_in_registers && product.a != a)) {
    throw KernelError("wgmma: the threads of a warpgroup do not agree on their product");
  }
  if (own == nullptr) {
    enter(*product.accumulator, thread, d);
  } else if (own != product.accumulator) {
    throw KernelError("wgmma: the threads of a warpgroup do not agree on their accumulators");
  }
  product.accumulator->last_use[thread] = number;
  product.a_registers[thread] = a_registers;
  if (a_registers != nullptr) std::memcpy(product.a_copies[thread], a_registers, sizeof(product.a_copies[thread]));
  product.issued += 1;
  if (product.issued == kThreads && block().chance(4)) perform_until(number + 1);
}

void Warpgroup::commit(int thread) { group_ends_[thread].push_back(issued_[thread]); }

void Warpgroup::wait(int thread, int pending) {
  std::vector<int64_t>& ends = group_ends_[thread];
  if (static_cast<int>(ends.size()) <= pending) return;
  const int64_t end = ends[ends.size() - static_cast<size_t>(pending) - 1];
  ends.erase(ends.begin(), ends.end() - pending);
  if (end > first_) {
    block().wait_until("wgmma, product", end - 1, false, [&] {
      for (int64_t i = first_; i < end; ++i) {
        if (i - first_ >= static_cast<int64_t>(products_.size())) return false;
        const Product& product = products_[static_cast<size_t>(i - first_)];
        if (!product.done && product.issued < kThreads) return false;
      }
      return true;
    });
    perform_until(end);
  }
  for (const auto& accumulator : accumulators_) {
    if (accumulator->d[thread] != nullptr && accumulator->last_use[thread] < end) leave(*accumulator, thread);
  }
  accumulators_.erase(std::remove_if(accumulators_.begin(), accumulators_.end(),
                                     [](const auto& accumulator) {
                                       return accumulator.use_count() == 1 &&
                                              std::all_of(accumulator->d, accumulator->d + kThreads,
                                                          [](const float* d) { return d == nullptr; });
                                     }),
                      accumulators_.end());
}

void Warpgroup::perform_until(int64_t end) {
  while (first_ < end) {
    perform(products_.front());
    products_.pop_front();
    ++first_;
  }
}

void Warpgroup::perform(Product& product) {
  product.done = true;
  const int columns = product.shape.columns;
  const auto to_float = [&](uint16_t bits) { return product.shape.bfloat16 ? from_bfloat16(bits) : from_half(bits); };
  float a[kRows][kDepth];
  if (product.shape.a_in_registers) {
    for (int thread = 0; thread < kThreads; ++thread) {
      const uint32_t* registers = product.reads_late ? product.a_registers[thread] : product.a_copies[thread];
      for (int r = 0; r < 4; ++r) {
        const int row = 16 * (thread / 32) + thread % 32 / 4 + 8 * (r % 2);
        const int k = 2 * (thread % 4) + 8 * (r / 2);
        a[row][k] = to_float(static_cast<uint16_t>(registers[r]));
        a[row][k + 1] = to_float(static_cast<uint16_t>(registers[r] >> 16));
      }
    }
  } else {
    const SharedMatrix matrix(product.a, product.shape.transposed_a);
    for (int row = 0; row < kRows; ++row) {
      for (int k = 0; k < kDepth; ++k) a[row][k] = to_float(matrix.at(row, k));
    }
  }
  float b[kDepth][256];
  const SharedMatrix matrix(product.b, product.shape.transposed_b);
  for (int col = 0; col < columns; ++col) {
    for (int k = 0; k < kDepth; ++k) b[k][col] = to_float(matrix.at(col, k));
  }
  float* values = product.accumulator->values.data();
  for (int row = 0; row < kRows; ++row) {
    float* d = values + row * columns;
    if (!product.add) std::fill(d, d + columns, 0.0f);
    for (int k = 0; k < kDepth; ++k) {
      const float factor = a[row][k];
      for (int col = 0; col < columns; ++col) d[col] += factor * b[k][col];
    }
  }
}

}  // namespace emulator
