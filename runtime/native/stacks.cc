#include "stacks.h"

#if defined(__linux__)
#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace runtime {
namespace {

// Wider than a page, so that a C++ frame with a large local buffer cannot step over it.
constexpr size_t kGuard = 64 * 1024;
constexpr size_t kStacksPerSlab = 32;
// Guards must lie on page boundaries, and kernels for arm64 have pages of up to 64 KiB.
constexpr size_t kLargestPage = 64 * 1024;

// Linux 6.13 can guard pages inside a mapping. Before that, a guard is a mapping of its own, and so is every stack
// between two guards: then vm.max_map_count (65,530 by default) is what limits the number of fibers.
// RUNTIME_STACK_GUARD=mapping forces the older way.
bool Guard(char* low, std::string* error) {
  static const char* way = getenv("RUNTIME_STACK_GUARD");
  static const bool own_mapping = way != nullptr && strcmp(way, "mapping") == 0;
  if (!own_mapping && madvise(low, kGuard, MADV_GUARD_INSTALL) == 0) return true;
  if (mprotect(low, kGuard, PROT_NONE) == 0) return true;
  *error = errno == ENOMEM ? "no more memory mappings: raise vm.max_map_count (two are needed for each fiber)"
                           : std::string("cannot guard a stack: ") + strerror(errno);
  return false;
}

}  // namespace

Stacks::~Stacks() {
  for (const Slab& slab : slabs_) munmap(slab.memory, slab.size);
}

bool Stacks::Take(size_t size, Stack* stack, std::string* error) {
  size = (size + kLargestPage - 1) & ~(kLargestPage - 1);
  std::vector<Stack>& free = free_[size];
  if (free.empty() && !Reserve(size, error)) return false;
  *stack = free.back();
  free.pop_back();
  return true;
}

void Stacks::Return(const Stack& stack) {
  madvise(stack.low, stack.size, MADV_DONTNEED);
  free_[stack.size].push_back(stack);
}

bool Stacks::Reserve(size_t size, std::string* error) {
  const size_t stride = size + kGuard;
  const size_t slab_size = stride * kStacksPerSlab;
  void* memory =
      mmap(nullptr, slab_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    *error = std::string("no address space for more stacks: ") + strerror(errno) +
             " (see ulimit -v, vm.max_map_count and vm.overcommit_memory)";
    return false;
  }
  // Stacks lie side by side: a huge page would make the first touch of one cost two megabytes.
  madvise(memory, slab_size, MADV_NOHUGEPAGE);
  slabs_.push_back({static_cast<char*>(memory), slab_size});
  std::vector<Stack>& free = free_[size];
  for (size_t i = kStacksPerSlab; i-- > 0;) {
    char* low = static_cast<char*>(memory) + i * stride;
    // Guards that could be had are enough for their stacks; the rest of the slab stays unused.
    if (Guard(low, error)) free.push_back({low + kGuard, size});
  }
  return !free.empty();
}

}  // namespace runtime
#endif
