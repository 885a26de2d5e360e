// The memory of stacks for swap: reserved many at a time, a guard below each, pages given only when touched.
#pragma once
#if defined(__linux__)
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace runtime {

struct Stack {
  char* low;    // the first byte above the guard
  size_t size;  // bytes from there to the top
};

// Whether, and if not why, there is address space left for V8 when more stacks are made: it ends the process when its
// heap cannot grow.
bool LeavesRoom(std::string* error);

// Gives pages back that deep recursion touched below the running frame, if there are any. `low` and `top` are the
// bounds of the running stack.
void TrimStack(uintptr_t low, uintptr_t top);

class Stacks {
 public:
  ~Stacks();

  // A stack of at least `size` bytes; false, and why in `error`, when the system has no room.
  bool Take(size_t size, Stack* stack, std::string* error);
  void Return(const Stack& stack);

 private:
  bool Reserve(size_t size, std::string* error);

  struct Slab {
    char* memory;
    size_t size;
    int mapped_guards;
  };
  std::vector<Slab> slabs_;
  std::map<size_t, std::vector<Stack>> free_;  // by size
};

}  // namespace runtime
#endif
