#include "emulator/fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {
namespace {

thread_local Fiber* starting = nullptr;

}  // namespace

#if defined(__x86_64__)

// Stores the registers that a callee has to keep, and goes on where another stack has left off. swapcontext() would do, but asks the
// kernel for the signal mask each time.
extern "C" void magi_emulator_switch(void** save, void* load);
asm(R"(
.text
.globl magi_emulator_switch
.hidden magi_emulator_switch
.type magi_emulator_switch, @function
magi_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size magi_emulator_switch, . - magi_emulator_switch
)");

void Fiber::start(std::function<void()> body) {
  body_ = std::move(body);
  auto* top = reinterpret_cast<uint64_t*>(stack_ + stack_bytes_);
  // Functions begin 8 bytes below a multiple of 16, with the address that they return to.
  *--top = 0;
  *--top = reinterpret_cast<uint64_t>(&Fiber::enter);
  for (int i = 0; i < 6; ++i) *--top = 0;
  own_ = top;
}

void Fiber::resume() {
  starting = this;
  magi_emulator_switch(&caller_, own_);
}

void Fiber::suspend() { magi_emulator_switch(&own_, caller_); }

#else

void Fiber::start(std::function<void()> body) {
  body_ = std::move(body);
  if (own_ == nullptr) own_ = new ucontext_t;
  if (caller_ == nullptr) caller_ = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(own_);
  getcontext(context);
  context->uc_stack.ss_sp = stack_;
  context->uc_stack.ss_size = stack_bytes_;
  context->uc_link = nullptr;
  makecontext(context, &Fiber::enter, 0);
}

void Fiber::resume() {
  starting = this;
  swapcontext(static_cast<ucontext_t*>(caller_), static_cast<ucontext_t*>(own_));
}

void Fiber::suspend() { swapcontext(static_cast<ucontext_t*>(own_), static_cast<ucontext_t*>(caller_)); }

#endif

Fiber::Fiber(size_t stack_bytes) : stack_bytes_(stack_bytes) {
  // Pages are taken when they are first touched.
  void* memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<char*>(memory);
  mprotect(stack_, 4096, PROT_NONE);  // a stack that overflows is found out
}

Fiber::~Fiber() {
  munmap(stack_, stack_bytes_);
#if !defined(__x86_64__)
  delete static_cast<ucontext_t*>(own_);
  delete static_cast<ucontext_t*>(caller_);
#endif
}

void Fiber::enter() {
  Fiber* self = starting;
  self->body_();
  self->suspend();
  std::abort();  // an ended fiber must not be resumed
}

}  // namespace emulator
