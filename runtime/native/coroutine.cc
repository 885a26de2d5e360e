#include "coroutine.h"

#include <uv.h>
#if defined(__linux__)
#include <pthread.h>
#endif

#include <algorithm>
#include <atomic>

namespace runtime {

using v8::HandleScope;
using v8::Isolate;
using v8::Local;
using v8::Locker;
using v8::TryCatch;
using v8::Unlocker;
using v8::Value;

namespace {

// Below V8's limit, where it throws RangeError, C++ still runs: parsers, the collector, libc, a signal handler.
// As much as Node leaves below the limit of its worker threads.
constexpr size_t kReserve = 192 * 1024;
// What an operation of Node's takes to begin, generously: to compile a function alone, V8 wants to see 40 KiB.
constexpr size_t kRoomToBegin = 64 * 1024;
// libc puts the thread's start, struct pthread and static thread-locals on top of the stack.
constexpr size_t kThreadHead = 16 * 1024;
constexpr size_t kMaxBatch = 32;

// Node 24 and later (22, when asked) keep AsyncLocalStorage's frame in one slot of the isolate: it belongs to the stack that set it.
#if NODE_MODULE_VERSION >= 147
Local<Value> AsyncFrame(Isolate* isolate) { return isolate->GetContinuationPreservedEmbedderDataV2().As<Value>(); }
void SetAsyncFrame(Isolate* isolate, Local<Value> frame) { isolate->SetContinuationPreservedEmbedderDataV2(frame); }
#elif NODE_MODULE_VERSION >= 127
Local<Value> AsyncFrame(Isolate* isolate) { return isolate->GetContinuationPreservedEmbedderData(); }
void SetAsyncFrame(Isolate* isolate, Local<Value> frame) { isolate->SetContinuationPreservedEmbedderData(frame); }
#else
Local<Value> AsyncFrame(Isolate*) { return Local<Value>(); }
void SetAsyncFrame(Isolate*, Local<Value>) {}
#endif

// V8 visits that slot, of which the isolate has one, as a root of each thread that it knows, archived ones included. A
// scavenge that comes by a second time takes the object's new copy for an old one, copies it again, and the heap is
// corrupt. So during a collection the slot is empty, and a global handle holds the frame.
void HideAsyncFrame(Isolate* isolate, v8::GCType, v8::GCCallbackFlags, void* hidden) {
  HandleScope handles(isolate);
  static_cast<v8::Global<Value>*>(hidden)->Reset(isolate, AsyncFrame(isolate));
  SetAsyncFrame(isolate, v8::Undefined(isolate));
}

void ShowAsyncFrame(Isolate* isolate, v8::GCType, v8::GCCallbackFlags, void* hidden) {
  HandleScope handles(isolate);
  auto* frame = static_cast<v8::Global<Value>*>(hidden);
  SetAsyncFrame(isolate, frame->Get(isolate));
  frame->Reset();
}

// The heap of C++ objects is collected with a scan of the running stack, from where the collector stands up to where the
// stack starts; and V8 takes note of that start only when a thread enters the isolate. Without this, a collection on one
// stack would scan on to the start of another: through guard pages, or not at all.
void TellStackStart(Isolate* isolate) { Isolate::Scope entered_again(isolate); }

std::atomic<bool> steps_expected{false};

// How deep the hub's own stack may become: all of it, since V8's limit in it is not to be had.
size_t ReachOfHub() {
  size_t size = 8 * 1024 * 1024;
#if defined(__linux__)
  pthread_attr_t attributes;
  void* low;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
  }
#endif
  return std::min<size_t>(size, 64 * 1024 * 1024);
}

}  // namespace

class Coroutine {
 public:
  Coroutine(Carrier* carrier, size_t index, size_t stack_size)
      : carrier_(carrier), index_(index), stack_size_(stack_size) {}

  // The entry of its machine context.
  static void Start(void* self) { static_cast<Coroutine*>(self)->Lives(); }

 private:
  friend class Carrier;

  void Lives() {
    while (!finished_) {
      Life();
      carrier_->PutCold(this);
      context_->SwitchTo(Resumer());
    }
  }

  // One call of the main function, from taking the isolate to giving it up.
  void Life() {
    Isolate* isolate = carrier_->isolate_;
    Locker locker(isolate);
    if (!entered_) Enter();
    TellStackStart(isolate);
    isolate->SetStackLimit(context_->stack_low() + kReserve);
    HandleScope handles(isolate);
    if (NODE_MODULE_VERSION >= 137 && stack_size_ < carrier_->widest_) TellWidest();
    Local<v8::Context> context = carrier_->context_.Get(isolate);
    v8::Context::Scope context_scope(context);
    while (FailsInMain(isolate, context)) continue;
    // Termination (worker.terminate(), process.exit() in a worker) is meant for the whole isolate: Resume passes it on
    // to the resumer.
    if (terminated_ && carrier_->dying_) isolate->CancelTerminateExecution();
  }

  // Calls the main function. True if something was thrown that it is to be called again for.
  bool FailsInMain(Isolate* isolate, Local<v8::Context> context) {
    HandleScope handles(isolate);
    TryCatch caught(isolate);
    if (!carrier_->main_.Get(isolate)->Call(context, v8::Undefined(isolate), 0, nullptr).IsEmpty()) return false;
    terminated_ = caught.HasTerminated();
    if (terminated_ || carrier_->dying_) return false;  // at the environment's end no JavaScript runs any more
    return Tells(isolate, context, caught);
  }

  // Of some errors the process is told, here, where V8 still knows the line that threw them.
  // In a frame of its own: those below it are on every suspended stack, of which a third page would be touched.
  [[gnu::noinline]] bool Tells(Isolate* isolate, Local<v8::Context> context, const TryCatch& caught) {
    TryCatch while_told(isolate);
    Local<Value> error = caught.Exception(), goes_uncaught;
    const bool known =
        carrier_->failed_.Get(isolate)->Call(context, v8::Undefined(isolate), 1, &error).ToLocal(&goes_uncaught);
    if (known && goes_uncaught->IsTrue()) node::FatalException(isolate, caught);
    terminated_ = while_told.HasTerminated();
    return known && !terminated_;
  }

  // V8 keeps "the current isolate" in thread-locals, and this context has thread-locals of its own: entering once
  // is enough for ever. But Enter also pushes onto a stack of entries that the isolate keeps for all threads, and
  // only the thread that pushed last may pop. So the entry is popped at once, from a context that never runs
  // JavaScript and does not mind that Exit clears its thread-locals.
  void Enter() {
    entered_ = true;
    carrier_->isolate_->Enter();
    OnScratch([](Coroutine* scratch) { scratch->carrier_->isolate_->Exit(); });
  }

  // From V8 13 on (Node 24) the isolate takes the size that the last SetStackLimit came to for the size of all its
  // stacks, and aborts when it collects or overflows deeper than that in any of them, the hub's too. Set from a
  // context that never runs JavaScript, the greatest of all sizes is nobody's limit.
  void TellWidest() {
    Unlocker unlocker(carrier_->isolate_);
    OnScratch([](Coroutine* scratch) {
      Locker locker(scratch->carrier_->isolate_);
      scratch->carrier_->isolate_->SetStackLimit(reinterpret_cast<uintptr_t>(&locker) - scratch->carrier_->widest_);
    });
  }

  using Errand = void (*)(Coroutine* scratch);

  void OnScratch(Errand errand) {
    Coroutine* scratch = carrier_->scratch_.get();
    scratch->errand_ = errand;
    scratch->resumer_ = this;
    context_->SwitchTo(scratch->context_.get());
  }

  static void StartScratch(void* self) {
    auto* scratch = static_cast<Coroutine*>(self);
    while (!scratch->finished_) {
      scratch->errand_(scratch);
      scratch->context_->SwitchTo(scratch->Resumer());
    }
  }

  MachineContext* Resumer() { return resumer_ ? resumer_->context_.get() : carrier_->hub_.get(); }

  bool Finish() {
    finished_ = true;
    return context_->Finish();
  }

  Carrier* carrier_;
  std::unique_ptr<MachineContext> context_;
  Coroutine* resumer_ = nullptr;  // null: the hub
  Errand errand_ = nullptr;       // of scratch_ only
  const size_t index_;
  const size_t stack_size_;
  bool entered_ = false;
  bool alive_ = false;  // from its first resume until its main function has returned
  bool terminated_ = false;
  bool finished_ = false;
};

Carrier::Carrier(Isolate* isolate, Local<v8::Context> context, std::unique_ptr<Switch> machine, Pulse* pulse)
    : isolate_(isolate),
      context_(isolate, context),
      machine_(std::move(machine)),
      hub_(machine_->Adopt()),
      pulse_(pulse),
      widest_(ReachOfHub()),
      main_thread_(node::GetCurrentEventLoop(isolate) == uv_default_loop()) {
  if (AsyncFrame(isolate).IsEmpty()) return;
  isolate->AddGCPrologueCallback(HideAsyncFrame, &hidden_async_frame_);
  isolate->AddGCEpilogueCallback(ShowAsyncFrame, &hidden_async_frame_);
}

Carrier::~Carrier() {
  if (!AsyncFrame(isolate_).IsEmpty()) {
    isolate_->RemoveGCPrologueCallback(HideAsyncFrame, &hidden_async_frame_);
    isolate_->RemoveGCEpilogueCallback(ShowAsyncFrame, &hidden_async_frame_);
  }
  // A worker's stacks go with it. The main thread ends only with the process, which takes all at once.
  bool finished = !main_thread_;
  for (auto& coroutine : coroutines_) finished = finished && !coroutine->alive_ && coroutine->Finish();
  if (scratch_) finished = finished && scratch_->Finish();
  if (finished) return;
  // Some are left. libc counts them among its threads, and reads their stacks: these must stay.
  for (auto& coroutine : coroutines_) (void)coroutine.release();
  (void)scratch_.release();
  (void)machine_.release();
}

int Carrier::Acquire(size_t stack_size, std::string* error) {
  if (Cold(stack_size).coroutines.empty() && !Grow(stack_size, error)) return -1;
  std::vector<Coroutine*>& cold = Cold(stack_size).coroutines;
  Coroutine* coroutine = cold.back();
  cold.pop_back();
  cold_count_--;
  return static_cast<int>(coroutine->index_);
}

Carrier::ColdList& Carrier::Cold(size_t stack_size) {
  for (ColdList& list : cold_) {
    if (list.stack_size == stack_size) return list;
  }
  cold_.push_back({stack_size, {}});
  return cold_.back();
}

void Carrier::PutCold(Coroutine* coroutine) {
  coroutine->alive_ = false;
  Cold(coroutine->stack_size_).coroutines.push_back(coroutine);
  cold_count_++;
}

// More coroutines, in batches that grow with their number: threads are created while others still detach.
bool Carrier::Grow(size_t stack_size, std::string* error) {
  if (!scratch_) {
    auto scratch = std::make_unique<Coroutine>(this, 0, 0);
    auto contexts = machine_->Create({{&Coroutine::StartScratch, scratch.get()}}, 64 * 1024, error);
    if (contexts.empty()) return false;
    scratch->context_ = std::move(contexts[0]);
    scratch_ = std::move(scratch);
  }
  widest_ = std::max(widest_, stack_size + kReserve);
  const size_t count = std::min(kMaxBatch, coroutines_.size() + 1);
  std::vector<std::unique_ptr<Coroutine>> batch;
  std::vector<Switch::Request> requests;
  for (size_t i = 0; i < count; i++) {
    batch.push_back(std::make_unique<Coroutine>(this, coroutines_.size() + i, stack_size));
    requests.push_back({&Coroutine::Start, batch.back().get()});
  }
  auto contexts = machine_->Create(requests, stack_size + kReserve + kThreadHead, error);
  for (size_t i = 0; i < contexts.size(); i++) {
    batch[i]->context_ = std::move(contexts[i]);
    PutCold(batch[i].get());
    coroutines_.push_back(std::move(batch[i]));
  }
  return !contexts.empty();
}

void Carrier::ExpectSteps() { steps_expected.store(true, std::memory_order_relaxed); }

// Calls what a step can end in, until none has: told to step where that ends, a debugger stops in there again.
[[gnu::noinline]] void Carrier::LandSteps() {
  constexpr uint64_t kLessThanAnyStop = 50'000;  // in nanoseconds; a debugger is told of the whole stack
  constexpr int kMost = 1000;                    // and then there is no debugger, but a very slow machine
  if (dying_ || landing_.IsEmpty()) return;
  HandleScope handles(isolate_);
  TryCatch caught(isolate_);
  const Local<v8::Context> context = context_.Get(isolate_);
  const Local<v8::Function> landing = landing_.Get(isolate_);
  bool terminated = false;  // which is for the program, and must not end this half-way
  for (int i = 0; i < kMost; i++) {
    const uint64_t begin = uv_hrtime();
    const bool returned = !landing->Call(context, v8::Undefined(isolate_), 0, nullptr).IsEmpty();
    if (caught.HasTerminated()) {
      terminated = true;
      isolate_->CancelTerminateExecution();
      caught.Reset();
    } else if (!returned || uv_hrtime() - begin < kLessThanAnyStop) {
      break;
    }
  }
  if (terminated) isolate_->TerminateExecution();
}

void Carrier::SwitchFromV8(MachineContext* from, MachineContext* to) {
  if (steps_expected.load(std::memory_order_relaxed)) LandSteps();
  {
    Unlocker unlocker(isolate_);
    from->SwitchTo(to);
  }
  TellStackStart(isolate_);
}

void Carrier::Resume(uint32_t index) {
  Coroutine* coroutine = coroutines_[index].get();
  Coroutine* resumer = current_;
  coroutine->resumer_ = resumer;
  coroutine->alive_ = true;
  current_ = coroutine;
  pulse_->Beat(static_cast<int>(index));
  SwitchFromV8(coroutine->Resumer(), coroutine->context_.get());
  current_ = resumer;
  pulse_->Beat(resumer ? static_cast<int>(resumer->index_) : -1);
  if (coroutine->terminated_) {
    coroutine->terminated_ = false;
    if (!dying_) isolate_->TerminateExecution();
  }
}

bool Carrier::HasRoom() const {
  if (current_ == nullptr) return true;
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const size_t room = std::min(kRoomToBegin, current_->stack_size_ / 4);  // small stacks are for small things
  return here > current_->context_->stack_low() + kReserve + room;
}

void Carrier::Suspend() {
  const Local<Value> frame = AsyncFrame(isolate_);
  if (Leave()) SetAsyncFrame(isolate_, frame);
}

void Carrier::Rest() {
  current_->context_->Trim();
  Leave();  // and what runs next on this stack has an async frame of its own
}

bool Carrier::Leave() {
  SwitchFromV8(current_->context_.get(), current_->Resumer());
  if (!dying_) return true;
  // Compiled code looks for a termination only here and there, the entry of a function being such a place: this call
  // does not get further than that, and the frames below it are unwound.
  isolate_->TerminateExecution();
  HandleScope handles(isolate_);
  [[maybe_unused]] auto nothing =
      main_.Get(isolate_)->Call(context_.Get(isolate_), v8::Undefined(isolate_), 0, nullptr);
  return false;
}

void Carrier::Unwind() {
  HandleScope handles(isolate_);
  if (!steps_expected.load(std::memory_order_relaxed) || landing_.IsEmpty()) return UnwindAll();
  // What the program was stepping through is gone, and the step may be pending still. V8 needs a frame for it here, too.
  Isolate::AllowJavascriptExecutionScope for_once(isolate_);
  LandSteps();
  isolate_->CancelTerminateExecution();
  const Local<v8::Context> context = context_.Get(isolate_);
  const v8::FunctionCallback unwind = [](const v8::FunctionCallbackInfo<Value>& args) {
    static_cast<Carrier*>(args.Data().As<v8::External>()->Value())->UnwindAll();
  };
  TryCatch caught(isolate_);
  Local<v8::Function> function;
  if (v8::Function::New(context, unwind, v8::External::New(isolate_, this)).ToLocal(&function)) {
    Local<Value> argument = function;
    [[maybe_unused]] auto nothing =
        landing_.Get(isolate_)->Call(context, v8::Undefined(isolate_), 1, &argument);
  }
  if (!dying_) UnwindAll();
}

void Carrier::UnwindAll() {
  HandleScope handles(isolate_);
  dying_ = true;
  // Under --abort-on-uncaught-exception, V8 would take a termination for one, and abort.
  isolate_->SetAbortOnUncaughtExceptionCallback([](Isolate*) { return false; });
  for (size_t i = 0; i < coroutines_.size(); i++) {
    // Once, unless its stack is so full that it overflows instead, which JavaScript can catch.
    for (int left = 100; coroutines_[i]->alive_ && left > 0; left--) Resume(static_cast<uint32_t>(i));
  }
}

}  // namespace runtime
