// Swap: the carrier's kernel thread borrows the stack and the thread-locals of threads that have none of their own.
//
// A real pthread is created, so that libc lays out stack, thread-locals and struct pthread. It saves its context and
// its kernel thread ends by a raw exit(2), which leaves all of that in place. From then on the carrier switches to
// it in user space, by loading two registers (swap_x64.S, swap_arm64.S). To end a context for good it is given a
// kernel thread once more, returns from its start routine and is joined like any other thread.
//
// What this leans on, each checked by Probe() when the addon loads:
//  - user space may read and write the thread pointer (FSGSBASE on x86-64);
//  - struct pthread holds the kernel's thread id, in one known place. libc asks the kernel about that id
//    (pthread_getattr_np does, by which V8 finds where a stack starts), so while a context runs it must be its carrier's;
//  - a context keeps its registers, thread-locals and stack bounds over a round trip.
// And two that cannot be probed: a libc that looks its own thread up by fs/tpidr only (all do), and no user-space
// shadow stack (checked: a return on a stack that the processor does not know would fault).
#include "machine_context.h"

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <limits>
#include <mutex>
#include <vector>

#include "stacks.h"

namespace runtime {
struct Registers {
  void* sp;
  void* tp;
};
}  // namespace runtime

extern "C" {
void runtime_swap(runtime::Registers* from, const runtime::Registers* to);
void runtime_detach(runtime::Registers* from, std::atomic<int>* detached, std::atomic<int>* alive);
long runtime_attach(const runtime::Registers* context, int* tid_slot, unsigned long clone_flags);
}

namespace runtime {
namespace {

int CurrentTid() { return static_cast<int>(syscall(SYS_gettid)); }

// Where in struct pthread the calling thread's id stands, for which libc has no name. Other fields may have that value.
std::vector<int> TidSlots() {
  constexpr int kFirst = 0x10, kLast = 0x600;
  const int tid = CurrentTid();
  const char* self = reinterpret_cast<const char*>(pthread_self());
  std::vector<int> slots;
  for (int offset = kFirst; offset < kLast; offset += 4) {
    int value;
    memcpy(&value, self + offset, sizeof value);
    if (value == tid) slots.push_back(offset);
  }
  return slots;
}

int tid_slot_offset = -1;
constexpr int kNobody = std::numeric_limits<int>::max();

int* TidSlot(pthread_t thread) { return reinterpret_cast<int*>(reinterpret_cast<char*>(thread) + tid_slot_offset); }

class AllSignalsBlocked {  // a borrowed context's own kernel thread must never run a signal handler
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

class SwapContext;

std::mutex contexts_mutex;  // held while any come or go, see ContextsHeld

// The one that runs: every context has thread-locals of its own.
thread_local SwapContext* running = nullptr;

class SwapContext : public MachineContext {
 public:
  // `own`: the context of the carrier itself; null: it is this one
  SwapContext(Stacks* stacks, int carrier_tid, SwapContext* own)
      : stacks_(stacks), carrier_tid_(carrier_tid), own_(own) {}
  ~SwapContext() override {
    if (running == this) running = nullptr;
  }

  // The context of the thread that calls.
  void Adopt() {
    thread_ = pthread_self();
    running = this;
  }

  bool Start(const Switch::Request& request, size_t stack_size, std::string* error) {
    request_ = request;
    // libc's least, 128 KiB on arm64: refused a smaller one, it would quietly lay the thread out on a stack of its own.
    stack_size = std::max(stack_size, static_cast<size_t>(PTHREAD_STACK_MIN));
    if (!stacks_->Take(stack_size, &stack_, error)) return false;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int code = pthread_attr_setstack(&attributes, stack_.low, stack_.size);
    if (code == 0) code = pthread_create(&thread_, &attributes, &SwapContext::Main, this);
    pthread_attr_destroy(&attributes);
    if (code) {
      stacks_->Return(stack_);
      *error = std::string("the system refused another thread: ") + strerror(code) +
               " (see ulimit -u, kernel.threads-max and the cgroup's pids.max)";
      return false;
    }
    stack_low_ = reinterpret_cast<uintptr_t>(stack_.low);
    return true;
  }

  void AwaitDetached() {
    while (detached_.load(std::memory_order_acquire) == 0)
      syscall(SYS_futex, &detached_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    // Not before: libc's thread start, and the kernel, write the thread's own id until it has detached.
    ShowTid(false);
  }

  void SwitchTo(MachineContext* to) override {
    Leave(static_cast<SwapContext*>(to));
    while (locks_for_ != nullptr) {
      SwapContext* asker = locks_for_;
      locks_for_ = nullptr;
      contexts_mutex.lock();
      Leave(asker);
    }
  }

  // When the process changes its user or group, libc signals every thread that it knows, and does so again until each
  // has run the handler, which marks the thread that libc takes itself to run on. A suspended context can't, and shows
  // libc an id that no thread has (not 0: that would mean "ended"), so that it is left out. The carrier's own context
  // always shows its id, or the kernel thread of them all might be missed. The running one shows it for the sake of
  // all else that libc does with it.
  void ShowTid(bool show) { *TidSlot(thread_) = show ? carrier_tid_ : kNobody; }

  // Takes contexts_mutex for this context, which runs. Whoever holds it may be waiting for the carrier's own context to
  // run that handler: so it is there that the mutex is waited for.
  void LockContexts() {
    if (contexts_mutex.try_lock()) return;
    if (own_ == nullptr) return contexts_mutex.lock();
    own_->locks_for_ = this;
    Leave(own_);
  }

  SwapContext* own() const { return own_; }

  bool Finish() override {
    // The flags that libc gives its threads: the kernel clears the tid when the thread is gone, as pthread_join wants.
    constexpr unsigned long kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |
                                     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    ContextsHeld held;
    AllSignalsBlocked blocked;
    // The kernel thread that it was created with may not be quite gone. (The kernel wakes this futex as a shared one.)
    while (alive_.load(std::memory_order_acquire) != 0)
      syscall(SYS_futex, &alive_, FUTEX_WAIT, 1, nullptr, nullptr, 0);
    if (runtime_attach(&registers_, TidSlot(thread_), kFlags) < 0) return false;
    pthread_join(thread_, nullptr);
    stacks_->Return(stack_);
    return true;
  }

  void Trim() override { TrimStack(stack_low_, reinterpret_cast<uintptr_t>(stack_.low) + stack_.size); }

 private:
  static void* Main(void* argument) {
    auto* self = static_cast<SwapContext*>(argument);
    running = self;
    self->Silence();
    runtime_detach(&self->registers_, &self->detached_, &self->alive_);
    self->request_.entry(self->request_.argument);  // on the carrier's kernel thread
    return nullptr;                                 // and the way out on one of its own again, see Finish
  }

  // The kernel thread must run no handler any more, since the context may run elsewhere before it ends: not even that of
  // libc's own signal, which libc lets nobody block. One that was sent before the id was hidden is handled here.
  void Silence() {
    constexpr int kSetxid = 33;
    constexpr uint64_t kAll = ~uint64_t{0};
    *TidSlot(pthread_self()) = kNobody;
    for (uint64_t before, pending;; syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof before)) {
      syscall(SYS_rt_sigprocmask, SIG_BLOCK, &kAll, &before, sizeof before);
      if (syscall(SYS_rt_sigpending, &pending, sizeof pending) != 0) return;
      if ((pending & (uint64_t{1} << (kSetxid - 1))) == 0) return;
    }
  }

  void Leave(SwapContext* to) {
    if (own_) ShowTid(false);
    if (to->own_) to->ShowTid(true);
    runtime_swap(&registers_, &to->registers_);
  }

  Registers registers_{};
  Stacks* stacks_;
  Stack stack_{};
  pthread_t thread_{};
  Switch::Request request_{};
  const int carrier_tid_;
  SwapContext* const own_;
  SwapContext* locks_for_ = nullptr;  // see LockContexts
  std::atomic<int> detached_{0};
  std::atomic<int> alive_{1};
};

class SwapSwitch : public Switch {
 public:
  std::unique_ptr<MachineContext> Adopt() override {
    auto context = std::make_unique<SwapContext>(&stacks_, tid_, nullptr);
    context->Adopt();
    own_ = context.get();
    return context;
  }

  std::vector<std::unique_ptr<MachineContext>> Create(const std::vector<Request>& requests, size_t stack_size,
                                                      std::string* error) override {
    ContextsHeld held;
    AllSignalsBlocked blocked;  // inherited by the threads
    std::vector<std::unique_ptr<SwapContext>> started;
    for (const Request& request : requests) {  // all are started first: they detach while the next is created
      auto context = std::make_unique<SwapContext>(&stacks_, tid_, own_);
      if (!context->Start(request, stack_size, error)) break;
      started.push_back(std::move(context));
    }
    std::vector<std::unique_ptr<MachineContext>> created;
    for (auto& context : started) {
      context->AwaitDetached();
      created.push_back(std::move(context));
    }
    return created;
  }

 private:
  Stacks stacks_;
  SwapContext* own_ = nullptr;
  const int tid_ = CurrentTid();
};

bool ShadowStackEnabled() {
#if defined(__x86_64__)
  uint64_t shadow_stack = 0;
  asm volatile("rdsspq %0" : "+r"(shadow_stack));  // a no-op, that leaves 0, where there is none
  return shadow_stack != 0;
#else
  register uint64_t features asm("x16") = 1;  // 1: is there a guarded control stack?
  asm volatile("hint #40" : "+r"(features));  // chkfeat: clears what is enabled, and is a no-op where unknown
  return features == 0;
#endif
}

thread_local int probe_local = 1;

struct ProbeTrip {
  MachineContext* home;
  MachineContext* away;
  uintptr_t stack_low = 0, stack_high = 0;
  bool own_locals = false, bounds = false;
};

void ProbeAway(void* argument) {
  auto* trip = static_cast<ProbeTrip*>(argument);
  trip->own_locals = probe_local == 1;
  probe_local = 3;
  pthread_attr_t attributes;
  void* low;
  size_t size;
  const uintptr_t here = reinterpret_cast<uintptr_t>(&attributes);
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    if (pthread_attr_getstack(&attributes, &low, &size) == 0)
      trip->bounds = here > reinterpret_cast<uintptr_t>(low) && here < reinterpret_cast<uintptr_t>(low) + size;
    pthread_attr_destroy(&attributes);
  }
  trip->away->SwitchTo(trip->home);
  trip->own_locals = trip->own_locals && probe_local == 3;
  trip->away->SwitchTo(trip->home);
}

// Everything that swap leans on, tried once. Empty: it works.
std::string Probe() {
#if defined(__x86_64__)
  if (!(getauxval(AT_HWCAP2) & 2)) return "the processor or kernel does not offer FSGSBASE";
#endif
  if (ShadowStackEnabled()) return "the process runs with a shadow stack";
  const std::vector<int> here = TidSlots();
  std::vector<int> there, both;
  pthread_t other;
  auto find = [](void* result) -> void* {
    *static_cast<std::vector<int>*>(result) = TidSlots();
    return nullptr;
  };
  if (pthread_create(&other, nullptr, find, &there)) return "no thread could be created";
  pthread_join(other, nullptr);
  std::set_intersection(here.begin(), here.end(), there.begin(), there.end(), std::back_inserter(both));
  if (both.size() != 1) return "libc keeps the thread id where it was not found";
  tid_slot_offset = both[0];

  SwapSwitch swap;
  ProbeTrip trip;
  std::string error;
  auto home = swap.Adopt();
  auto created = swap.Create({{ProbeAway, &trip}}, 256 * 1024, &error);
  if (created.empty()) return error;
  trip.home = home.get();
  trip.away = created[0].get();
  probe_local = 2;
  home->SwitchTo(trip.away);
  home->SwitchTo(trip.away);
  const bool own_locals = trip.own_locals && probe_local == 2;
  probe_local = 1;
  created[0]->Finish();
  if (!own_locals) return "thread-locals did not follow the switch";
  if (!trip.bounds) return "libc does not know the bounds of a borrowed stack";
  return "";
}

}  // namespace

// libc leaves out the context that calls. Of the same kernel thread, no other must be signalled.
ContextsHeld::ContextsHeld() {
  if (running) {
    running->LockContexts();
    if (running->own()) running->own()->ShowTid(false);
  } else {
    contexts_mutex.lock();
  }
}

ContextsHeld::~ContextsHeld() {
  if (running && running->own()) running->own()->ShowTid(true);
  contexts_mutex.unlock();
}

std::unique_ptr<Switch> CreateSwap(std::string* reason) {
  static std::once_flag once;
  static std::string failure;
  std::call_once(once, [] { failure = Probe(); });
  if (!failure.empty()) {
    *reason = failure;
    return nullptr;
  }
  return std::make_unique<SwapSwitch>();
}

}  // namespace runtime

#else

namespace runtime {
ContextsHeld::ContextsHeld() {}
ContextsHeld::~ContextsHeld() {}
std::unique_ptr<Switch> CreateSwap(std::string* reason) {
  *reason = "not written for this system and processor";
  return nullptr;
}
}  // namespace runtime

#endif
