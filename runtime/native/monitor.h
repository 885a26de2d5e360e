// The watch over one thread: who runs without a break, on which line, for longer than is good for the others.
//
// A thread of its own looks when the carrier last switched stacks or turned its event loop. If that is too long ago, and
// the carrier was not waiting for events meanwhile, it asks V8 to interrupt whatever JavaScript runs. The interrupt runs
// on the carrier, in the running frame, and takes the stack trace. It can tell it at once: an endless loop is named too.
#pragma once
#include <node.h>
#include <uv.h>

#include <atomic>
#include <string>
#include <vector>

namespace runtime {

class Monitor;

// Where a carrier tells that it switches. Outlives its monitors; there is none most of the time.
class Pulse {
 public:
  // The stack with this index runs from now on; -1 is the hub's.
  void Beat(int stack);

  int stack() const { return stack_; }

 private:
  friend class Monitor;
  int stack_ = -1;
  Monitor* monitor_ = nullptr;
};

class Monitor {
 public:
  struct Options {
    uint64_t threshold;                // in nanoseconds
    v8::Local<v8::Array> records;      // by stack: objects with the name and the id of the fiber that runs there
    std::string own;                   // frames of files whose path begins so are left out
    v8::Local<v8::Function> report;    // (name, id, milliseconds, stack), on the hub's stack; empty: to standard error
  };

  // Watches the calling thread. Null, and why in `error`, where the system refuses.
  static Monitor* Start(v8::Local<v8::Context> context, Pulse* pulse, const Options& options, std::string* error);

  // The thread has ended, and nothing more is told, when this returns. The object goes when its handle is closed.
  void Stop();

  static Monitor* Of(const Pulse& pulse) { return pulse.monitor_; }

 private:
  friend class Pulse;

  // One stretch of time without a break. Times as of uv_hrtime.
  struct Hog {
    uint64_t since;
    uint64_t until;  // 0 while it lasts
    bool is_fiber;
    std::string name;
    double id;
    std::string stack;
  };

  Monitor(v8::Local<v8::Context> context, Pulse* pulse, const Options& options);
  ~Monitor();

  void Watch();
  uint64_t RunsSince();
  bool IsNews(uint64_t since, uint64_t now);
  void Look();
  bool Identify(Hog* hog);
  std::string Trace();
  void Turn();
  void Deliver();
  void Closed();

  static void OnInterrupt(v8::Isolate* isolate, void* id);
  static void OnEnvironmentEnd(void* self, void (*done)(void*), void* done_argument);

  v8::Isolate* const isolate_;
  uv_loop_t* const loop_;
  Pulse* const pulse_;
  const uint64_t threshold_;
  const uintptr_t id_;
  const std::string own_;
  v8::Global<v8::Context> context_;
  v8::Global<v8::Array> records_;
  v8::Global<v8::Function> report_;
  // What the last look saw, and whether it was told.
  uint64_t seen_since_ = 0;  // RunsSince
  double seen_callback_ = 0;
  uint64_t seen_at_ = 0;
  bool told_ = false;
  std::vector<Hog> hogs_;   // to be reported
  bool delivering_ = false;

  uv_prepare_t prepare_;
  node::AsyncCleanupHookHandle hook_;
  bool stopped_ = false;
  void (*done_)(void*) = nullptr;  // the environment waits for it
  void* done_argument_ = nullptr;

  std::atomic<uint64_t> beat_;  // when the carrier last switched stacks
  std::atomic<bool> asked_{false};  // V8 has a request that it has not come to
  uv_thread_t thread_;
  uv_mutex_t mutex_;            // for what follows
  uv_cond_t wake_;
  uint64_t turn_;               // when the event loop last turned
  uint64_t idle_at_turn_;       // how long it had waited for events by then, in all
  bool stopping_ = false;
};

inline void Pulse::Beat(int stack) {
  stack_ = stack;
  if (monitor_ == nullptr) return;
  const uint64_t now = uv_hrtime();
  monitor_->beat_.store(now, std::memory_order_relaxed);
  if (!monitor_->hogs_.empty() && monitor_->hogs_.back().until == 0) monitor_->hogs_.back().until = now;
}

}  // namespace runtime
