// Coroutines over V8's public Locker and Unlocker.
//
// V8 lets several threads use one isolate in turn: a thread that gives the isolate up has its state archived, and
// the garbage collector walks its stack. A coroutine is such a thread, on a machine context of its own.
#pragma once
#include <node.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "machine_context.h"
#include "monitor.h"

namespace runtime {

class Coroutine;

// All that one isolate's coroutines share: the thread that runs them, and the stack that resumes them.
class Carrier {
 public:
  Carrier(v8::Isolate* isolate, v8::Local<v8::Context> context, std::unique_ptr<Switch> machine, Pulse* pulse);
  ~Carrier();
  Carrier(const Carrier&) = delete;

  // The function that every coroutine runs: it is called on the coroutine's own stack, and returns at the end of its life.
  // `failed` is called with what it throws, before it is called again, and tells whether that goes uncaught.
  void SetMain(v8::Local<v8::Function> main, v8::Local<v8::Function> failed) {
    main_.Reset(isolate_, main);
    failed_.Reset(isolate_, failed);
  }

  // A debugger may be about to tell any thread of the process to step. Takes time at every switch from then on; for good.
  static void ExpectSteps();

  // What is called then before a stack is left, for a step to end in; or with a function to call in its frame. See
  // guards/debuggers.ts.
  void SetLanding(v8::Local<v8::Function> landing) { landing_.Reset(isolate_, landing); }

  // The index of a coroutine that is ready for its first resume; negative, and why in `error`, if none can be had.
  int Acquire(size_t stack_size, std::string* error);

  // Continues a coroutine until it suspends or its main function returns. May be called within another coroutine.
  void Resume(uint32_t index);

  // Leaves the running coroutine for the one that resumed it.
  void Suspend();

  // The same between two bodies of code, where nothing of the first is needed any more: the pages of a stack that grew
  // deep are given back, and its async frame is forgotten.
  void Rest();

  // Whether so much of the running coroutine's stack is left that an operation of Node's can begin. One that overflows
  // the stack half-way may leave Node's own tables inconsistent: a list of timers that nothing will start, for example.
  bool HasRoom() const;

  size_t created() const { return coroutines_.size(); }
  size_t cold() const { return cold_count_; }

  // The environment ends: every suspended stack is unwound without running any more JavaScript.
  void Unwind();

 private:
  friend class Coroutine;

  // Coroutines that are not in V8: their main function has returned, or has never run. Kept by stack size.
  struct ColdList {
    size_t stack_size;
    std::vector<Coroutine*> coroutines;
  };
  ColdList& Cold(size_t stack_size);
  void PutCold(Coroutine* coroutine);
  bool Grow(size_t stack_size, std::string* error);
  bool Leave();  // false: the environment ends, and the stack is to be unwound
  void SwitchFromV8(MachineContext* from, MachineContext* to);
  void LandSteps();
  void UnwindAll();

  v8::Isolate* isolate_;
  v8::Global<v8::Context> context_;
  v8::Global<v8::Function> main_;
  v8::Global<v8::Function> failed_;
  v8::Global<v8::Function> landing_;
  v8::Global<v8::Value> hidden_async_frame_;  // while a collection runs
  std::unique_ptr<Switch> machine_;
  std::unique_ptr<MachineContext> hub_;
  Pulse* const pulse_;
  size_t widest_;  // in bytes: the greatest depth of any of the isolate's stacks
  std::unique_ptr<Coroutine> scratch_;
  std::vector<std::unique_ptr<Coroutine>> coroutines_;
  std::vector<ColdList> cold_;
  size_t cold_count_ = 0;
  Coroutine* current_ = nullptr;
  bool dying_ = false;
  const bool main_thread_;
};

}  // namespace runtime
