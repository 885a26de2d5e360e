// A machine context: one stack and one set of thread-locals that code can run on.
// V8 sees every context as a thread of its own; what differs between the switches (swap, handoff) is only
// how the processor gets from one to the next, and that is all this interface says.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace runtime {

class MachineContext {
 public:
  using Entry = void (*)(void* argument);

  virtual ~MachineContext() = default;

  // Leaves this context, which must be the running one, and continues in `to`.
  // Returns when something switches back to this one.
  virtual void SwitchTo(MachineContext* to) = 0;

  // Lets the context run to the end of its entry function, which must be about to return, and frees what it held.
  // Called from another context; this one must not be running. False: the system refused, and it stays as it is.
  virtual bool Finish() = 0;

  // Gives pages back that deep recursion touched below the running frame, if there are any. Runs on this context.
  virtual void Trim() {}

  // The lowest address that code on this context may touch. Known from the first time that it runs.
  uintptr_t stack_low() const { return stack_low_; }

 protected:
  uintptr_t stack_low_ = 0;
};

// Makes the contexts of one carrier.
class Switch {
 public:
  virtual ~Switch() = default;

  // The context of the calling thread itself.
  virtual std::unique_ptr<MachineContext> Adopt() = 0;

  // Up to `count` new contexts with at least `stack_size` bytes of stack each; fewer, or none, when the system
  // refuses, and then `error` says why. Each runs entry(argument) when it is first switched to.
  struct Request {
    MachineContext::Entry entry;
    void* argument;
  };
  virtual std::vector<std::unique_ptr<MachineContext>> Create(const std::vector<Request>& requests, size_t stack_size,
                                                              std::string* error) = 0;
};

// While one lives, no context of the process comes or goes, for code in which libc signals every thread that it knows and
// waits for each to answer: the kernel thread that a context begins and ends with would be gone before it could. To be
// used on the running context.
class ContextsHeld {
 public:
  ContextsHeld();
  ~ContextsHeld();
  ContextsHeld(const ContextsHeld&) = delete;
};

// Each returns null, and the reason in `reason`, where this machine cannot do it.
std::unique_ptr<Switch> CreateSwap(std::string* reason);
std::unique_ptr<Switch> CreateHandoff(std::string* reason);

}  // namespace runtime
