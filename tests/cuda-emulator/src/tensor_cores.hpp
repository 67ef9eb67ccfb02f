// wgmma: products of 128 threads that run while the threads go on.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace emulator {

struct ProductShape {
  int columns;
  bool bfloat16;
  bool transposed_a;  // MN-major in shared memory
  bool transposed_b;
  bool a_in_registers;
  bool operator==(const ProductShape& other) const {
    return columns == other.columns && bfloat16 == other.bfloat16 && transposed_a == other.transposed_a &&
           transposed_b == other.transposed_b && a_in_registers == other.a_in_registers;
  }
};

// What a warpgroup has under way. While a product runs, its threads' accumulators hold NaN.
class Warpgroup {
 public:
  static constexpr int kThreads = 128;
  static constexpr int kRows = 64;
  static constexpr int kDepth = 16;

  void issue(int thread, const ProductShape& shape, float* d, uint64_t a, const uint32_t* a_registers, uint64_t b, bool add);
  void commit(int thread);
  void wait(int thread, int pending);

 private:
  struct Accumulator {
    int columns;
    float* d[kThreads] = {};        // null: not this thread's business now
    int64_t last_use[kThreads] = {};  // number of a product
    std::vector<float> values;       // [kRows, columns]
  };
  struct Product {
    ProductShape shape;
    uint64_t a;
    uint64_t b;
    bool add;
    bool reads_late;
    int issued = 0;
    bool done = false;
    const uint32_t* a_registers[kThreads] = {};
    uint32_t a_copies[kThreads][4];
    std::shared_ptr<Accumulator> accumulator;
  };

  void enter(Accumulator& accumulator, int thread, float* d);
  void leave(Accumulator& accumulator, int thread);
  void perform_until(int64_t end);
  void perform(Product& product);

  std::deque<Product> products_;
  int64_t first_ = 0;  // number of products_[0]
  int64_t issued_[kThreads] = {};
  std::vector<int64_t> group_ends_[kThreads];
  std::vector<std::shared_ptr<Accumulator>> accumulators_;
};

}  // namespace emulator
