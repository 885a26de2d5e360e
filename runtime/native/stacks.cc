#include "stacks.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
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

// Of the mappings that a process may have, how many guards may use up. The rest is for V8, libc and threads, for which
// a refused mapping is the end of the process.
long MappingsForGuards() {
  long most = 65530;
  if (FILE* file = fopen("/proc/sys/vm/max_map_count", "re")) {
    if (fscanf(file, "%ld", &most) != 1) most = 65530;
    fclose(file);
  }
  return most - most / 8;
}

std::atomic<long> guards_mapped{0};

// Linux 6.13 can guard pages inside a mapping. Before that, a guard is a mapping of its own, and so is every stack
// between two guards: then vm.max_map_count (65,530 by default) is what limits the number of fibers.
// RUNTIME_STACK_GUARD=mapping forces the older way.
bool GuardInside(char* low) {
  static const char* way = getenv("RUNTIME_STACK_GUARD");
  static const bool own_mapping = way != nullptr && strcmp(way, "mapping") == 0;
  return !own_mapping && madvise(low, kGuard, MADV_GUARD_INSTALL) == 0;
}

bool GuardByMapping(char* low, std::string* error) {
  static const long most = MappingsForGuards() / 2;
  if (guards_mapped.load() < most && mprotect(low, kGuard, PROT_NONE) == 0) {
    guards_mapped++;
    return true;
  }
  *error = guards_mapped.load() >= most || errno == ENOMEM
               ? "no more memory mappings: raise vm.max_map_count (two are needed for each fiber)"
               : std::string("cannot guard a stack: ") + strerror(errno);
  return false;
}

std::string NoAddressSpace() {
  return std::string("no address space for more stacks: ") + strerror(errno) +
         " (see ulimit -v, vm.max_map_count and vm.overcommit_memory)";
}

}  // namespace

Stacks::~Stacks() {
  for (const Slab& slab : slabs_) {
    munmap(slab.memory, slab.size);
    guards_mapped -= slab.mapped_guards;
  }
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

bool LeavesRoom(std::string* error) {
  constexpr size_t kForOthers = 128 * 1024 * 1024;
  void* room = mmap(nullptr, kForOthers, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    *error = NoAddressSpace();
    return false;
  }
  munmap(room, kForOthers);
  return true;
}

void TrimStack(uintptr_t low, uintptr_t top) {
  // Deep recursion leaves something in every page that it passed. One page, some way down, tells: it is all zeroes
  // unless the stack once reached it (then frames fill it, and a few words of them are looked at), and reading it costs
  // nothing once the kernel's zero page is mapped.
  constexpr size_t kTideMark = 32 * 1024, kPage = 4096, kKeep = 2 * kPage, kBetweenLooks = 17;
  // Kernels for arm64 have pages of 4, 16 or 64 KiB, and madvise takes the page in which a range ends as a whole.
  static const uintptr_t page_mask = ~(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) & ~(kPage - 1);
  const uintptr_t mark = (top & ~(kPage - 1)) - kTideMark;
  if (mark <= low || here <= mark + kPage) return;
  const uint64_t* words = reinterpret_cast<const uint64_t*>(mark);
  uint64_t touched = 0;
  for (size_t i = 0; i < kPage / sizeof *words; i += kBetweenLooks) touched |= words[i];
  const uintptr_t begin = (low + ~page_mask) & page_mask;
  const uintptr_t end = (here - kKeep) & page_mask;
  if (touched && end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

bool Stacks::Reserve(size_t size, std::string* error) {
  if (!LeavesRoom(error)) return false;
  const size_t stride = size + kGuard;
  const size_t slab_size = stride * kStacksPerSlab;
  void* memory =
      mmap(nullptr, slab_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    *error = NoAddressSpace();
    return false;
  }
  // Stacks lie side by side: a huge page would make the first touch of one cost two megabytes.
  madvise(memory, slab_size, MADV_NOHUGEPAGE);
  Slab slab{static_cast<char*>(memory), slab_size, 0};
  std::vector<Stack>& free = free_[size];
  for (size_t i = kStacksPerSlab; i-- > 0;) {
    char* low = slab.memory + i * stride;
    // Guards that could be had are enough for their stacks; the rest of the slab stays unused.
    const bool inside = GuardInside(low);
    if (!inside && !GuardByMapping(low, error)) continue;
    slab.mapped_guards += inside ? 0 : 1;
    free.push_back({low + kGuard, size});
  }
  slabs_.push_back(slab);
  return !free.empty();
}

}  // namespace runtime
#endif
