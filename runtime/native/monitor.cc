#include "monitor.h"

#if !defined(_WIN32)
#include <signal.h>
#endif

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>

namespace runtime {

using v8::Context;
using v8::HandleScope;
using v8::Isolate;
using v8::Local;
using v8::Object;
using v8::String;
using v8::Value;

namespace {

constexpr uint64_t kMillisecond = 1000 * 1000;
constexpr size_t kWatchStack = 256 * 1024;
constexpr int kFrames = 30;

// V8 keeps a requested interrupt until JavaScript runs again, which may be after its monitor has gone: so it is given a
// number, not a pointer. Never destroyed, because a process that exits does not wait for the watching thread.
struct Registry {
  std::mutex mutex;
  std::map<uintptr_t, Monitor*> monitors;
  uintptr_t last_id = 0;
};

Registry* TheRegistry() {
  static auto* registry = new Registry;
  return registry;
}

uintptr_t NextId() {
  std::lock_guard<std::mutex> lock(TheRegistry()->mutex);
  return ++TheRegistry()->last_id;
}

class SignalsBlocked {  // the watching thread inherits it: signals are for the threads of the program
 public:
#if defined(_WIN32)
  SignalsBlocked() {}
#else
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
#endif
};

Local<String> Key(Isolate* isolate, const char* name) {
  return String::NewFromUtf8(isolate, name).ToLocalChecked();
}

std::string Text(Isolate* isolate, Local<Value> value) {
  if (value.IsEmpty() || !value->IsString()) return "";
  String::Utf8Value text(isolate, value);
  return *text == nullptr ? "" : std::string(*text, static_cast<size_t>(text.length()));
}

}  // namespace

Monitor::Monitor(Local<Context> context, Pulse* pulse, const Options& options)
    : isolate_(Isolate::GetCurrent()),
      loop_(node::GetCurrentEventLoop(isolate_)),
      pulse_(pulse),
      threshold_(options.threshold),
      id_(NextId()),
      own_(options.own),
      context_(isolate_, context),
      records_(isolate_, options.records),
      beat_(uv_hrtime()),
      turn_(beat_),
      idle_at_turn_(uv_metrics_idle_time(loop_)) {
  if (!options.report.IsEmpty()) report_.Reset(isolate_, options.report);
  uv_mutex_init(&mutex_);
  uv_cond_init(&wake_);
}

Monitor::~Monitor() {
  uv_cond_destroy(&wake_);
  uv_mutex_destroy(&mutex_);
}

Monitor* Monitor::Start(Local<Context> context, Pulse* pulse, const Options& options, std::string* error) {
  // Node has asked for this itself, for performance.eventLoopUtilization; other embedders may not have.
  uv_loop_configure(node::GetCurrentEventLoop(Isolate::GetCurrent()), UV_METRICS_IDLE_TIME);
  auto* self = new Monitor(context, pulse, options);
  uv_thread_options_t thread_options{};
  thread_options.flags = UV_THREAD_HAS_STACK_SIZE;
  thread_options.stack_size = kWatchStack;
  int code;
  {
    SignalsBlocked blocked;
    code = uv_thread_create_ex(
        &self->thread_, &thread_options, [](void* monitor) { static_cast<Monitor*>(monitor)->Watch(); }, self);
  }
  if (code != 0) {
    *error = std::string("the system refused a thread (") + uv_strerror(code) + ")";
    delete self;
    return nullptr;
  }
  {
    std::lock_guard<std::mutex> lock(TheRegistry()->mutex);
    TheRegistry()->monitors[self->id_] = self;
  }
  pulse->monitor_ = self;
  uv_prepare_init(self->loop_, &self->prepare_);
  self->prepare_.data = self;
  uv_prepare_start(&self->prepare_, [](uv_prepare_t* handle) { static_cast<Monitor*>(handle->data)->Turn(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->prepare_));
  self->hook_ = node::AddEnvironmentCleanupHook(self->isolate_, OnEnvironmentEnd, self);
  return self;
}

void Monitor::Stop() {
  if (stopped_) return;
  stopped_ = true;
  uv_mutex_lock(&mutex_);
  stopping_ = true;
  uv_cond_signal(&wake_);
  uv_mutex_unlock(&mutex_);
  uv_thread_join(&thread_);
  {
    std::lock_guard<std::mutex> lock(TheRegistry()->mutex);
    TheRegistry()->monitors.erase(id_);
  }
  pulse_->monitor_ = nullptr;
  context_.Reset();
  records_.Reset();
  report_.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_),
           [](uv_handle_t* handle) { static_cast<Monitor*>(handle->data)->Closed(); });
}

// The loop of a worker must have no open handle when the worker ends: the environment waits until `done` is called.
void Monitor::OnEnvironmentEnd(void* monitor, void (*done)(void*), void* done_argument) {
  auto* self = static_cast<Monitor*>(monitor);
  self->done_ = done;
  self->done_argument_ = done_argument;
  self->Stop();
}

void Monitor::Closed() {
  if (done_ != nullptr) done_(done_argument_);
  else node::RemoveEnvironmentCleanupHook(std::move(hook_));
  delete this;
}

// Since when the carrier has run without a break. Called by both threads. The event loop first waits for events and then
// calls back: of the time since its last turn, what it spent waiting came before all that it spent running.
uint64_t Monitor::RunsSince() {
  uv_mutex_lock(&mutex_);
  const uint64_t turn = turn_, idle_at_turn = idle_at_turn_;
  uv_mutex_unlock(&mutex_);
  const uint64_t waited = uv_metrics_idle_time(loop_) - idle_at_turn;
  return std::max(beat_.load(std::memory_order_relaxed), turn + waited);
}

// On the watching thread. What it sees may be over when V8 interrupts: the interrupt looks again.
void Monitor::Watch() {
  uint64_t asked_of = 0, asked_at = 0, patience = 0;
  for (;;) {
    const uint64_t since = RunsSince();
    const uint64_t now = uv_hrtime();
    uint64_t wait = threshold_;
    if (now < since + threshold_) {
      wait = since + threshold_ - now;
    } else if (since != asked_of || !asked_.load() || now >= asked_at + patience) {
      // V8 marks the stack that is in the isolate just then. In the middle of a switch that is the one that was left, and
      // the mark is put away with it. So it is asked again; less and less often, since V8 keeps every request.
      patience = since != asked_of || !asked_.load() ? threshold_ : patience * 2;
      asked_of = since;
      asked_at = now;
      asked_.store(true);
      isolate_->RequestInterrupt(OnInterrupt, reinterpret_cast<void*>(id_));
    }
    uv_mutex_lock(&mutex_);
    if (!stopping_) uv_cond_timedwait(&wake_, &mutex_, std::max(wait, kMillisecond));
    const bool stopping = stopping_;
    uv_mutex_unlock(&mutex_);
    if (stopping) return;
  }
}

void Monitor::OnInterrupt(Isolate*, void* id) {
  Monitor* self = nullptr;
  {
    std::lock_guard<std::mutex> lock(TheRegistry()->mutex);
    const auto found = TheRegistry()->monitors.find(reinterpret_cast<uintptr_t>(id));
    if (found != TheRegistry()->monitors.end()) self = found->second;
  }
  if (self == nullptr) return;  // and only this thread stops it
  self->asked_.store(false);
  self->Look();
}

// Each hog is told once. Between two turns of the event loop many callbacks may run on the hub's stack: after one that
// was told, another one is a hog of its own if it was seen for as long as the threshold.
bool Monitor::IsNews(uint64_t since, uint64_t now) {
  const double callback = pulse_->stack() >= 0 ? 0 : node::AsyncHooksGetExecutionAsyncId(isolate_);
  if (since != seen_since_) {
    seen_since_ = since;
    seen_callback_ = callback;
    seen_at_ = since;
    told_ = false;
  } else if (callback != seen_callback_) {
    seen_callback_ = callback;
    seen_at_ = now;
    told_ = false;
  }
  if (told_ || now < seen_at_ + threshold_) return false;
  return told_ = true;
}

// In whatever frame of JavaScript runs: none may be called here.
void Monitor::Look() {
  const uint64_t since = RunsSince();
  const uint64_t now = uv_hrtime();
  if (delivering_ || now < since + threshold_) return;
  HandleScope handles(isolate_);
  Isolate::DisallowJavascriptExecutionScope no_javascript(
      isolate_, Isolate::DisallowJavascriptExecutionScope::THROW_ON_FAILURE);
  Hog hog{since, 0, pulse_->stack() >= 0, "", 0, ""};
  // On a busy machine a stack may take long to come up. Who is on it is known when it has: the next look tells.
  if (hog.is_fiber && !Identify(&hog)) return;
  if (!IsNews(since, now)) return;
  hog.stack = Trace();
  if (!report_.IsEmpty()) {
    if (!hogs_.empty() && hogs_.back().until == 0) hogs_.back().until = now;
    hogs_.push_back(std::move(hog));
    // There is one more turn of the event loop to come, even if the program ends now.
    uv_ref(reinterpret_cast<uv_handle_t*>(&prepare_));
    return;
  }
  char head[96];
  std::string message = "The hub";
  if (hog.is_fiber) {
    snprintf(head, sizeof head, " (%.0f)", hog.id);
    message = "The fiber " + (hog.name.empty() ? "(anonymous)" : "\"" + hog.name + "\"") + head;
  }
  snprintf(head, sizeof head, " has run for %.0f ms without a break%s\n", static_cast<double>(now - since) / 1e6,
           hog.stack.empty() ? "" : ":");
  message += head;
  if (!hog.stack.empty()) message += hog.stack + "\n";
  fwrite(message.data(), 1, message.size(), stderr);
  fflush(stderr);
}

bool Monitor::Identify(Hog* hog) {
  Local<Context> context = context_.Get(isolate_);
  v8::TryCatch caught(isolate_);  // of a program that has laid a trap into the record
  Local<Value> record, name, id;
  if (!records_.Get(isolate_)->Get(context, static_cast<uint32_t>(pulse_->stack())).ToLocal(&record)) return false;
  if (!record->IsObject()) return false;
  if (record.As<Object>()->Get(context, Key(isolate_, "name")).ToLocal(&name)) hog->name = Text(isolate_, name);
  if (record.As<Object>()->Get(context, Key(isolate_, "id")).ToLocal(&id) && id->IsNumber())
    hog->id = id.As<v8::Number>()->Value();
  return true;
}

// As in Error#stack, without the package's own frames.
std::string Monitor::Trace() {
  Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate_, kFrames, v8::StackTrace::kDetailed);
  std::string text;
  for (int i = 0; i < trace->GetFrameCount(); i++) {
    Local<v8::StackFrame> frame = trace->GetFrame(isolate_, static_cast<uint32_t>(i));
    const std::string script = Text(isolate_, frame->GetScriptNameOrSourceURL());
    if (script.compare(0, own_.size(), own_) == 0) continue;
    const std::string function = Text(isolate_, frame->GetFunctionName());
    const std::string place = (script.empty() ? "<anonymous>" : script) + ":" + std::to_string(frame->GetLineNumber()) +
                              ":" + std::to_string(frame->GetColumn());
    if (!text.empty()) text += "\n";
    text += "    at " + (function.empty() ? place : function + " (" + place + ")");
  }
  return text;
}

// The event loop is about to wait for events: whatever ran has ended. On the hub's stack, out of JavaScript.
void Monitor::Turn() {
  if (!hogs_.empty()) {
    uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
    if (hogs_.back().until == 0) hogs_.back().until = uv_hrtime();
    Deliver();
    if (stopped_) return;
  }
  const uint64_t idle = uv_metrics_idle_time(loop_);
  uv_mutex_lock(&mutex_);
  turn_ = uv_hrtime();
  idle_at_turn_ = idle;
  uv_mutex_unlock(&mutex_);
}

void Monitor::Deliver() {
  std::vector<Hog> hogs;
  hogs.swap(hogs_);
  delivering_ = true;  // a report that takes long is not reported in its turn
  HandleScope handles(isolate_);
  Local<Context> context = context_.Get(isolate_);
  Context::Scope context_scope(context);
  for (const Hog& hog : hogs) {
    if (stopped_) break;  // by the one before
    Local<String> name, stack;
    if (!String::NewFromUtf8(isolate_, hog.name.c_str()).ToLocal(&name)) continue;
    if (!String::NewFromUtf8(isolate_, hog.stack.c_str()).ToLocal(&stack)) continue;
    Local<Value> null = v8::Null(isolate_);
    Local<Value> arguments[] = {
        hog.is_fiber ? name.As<Value>() : null, hog.is_fiber ? v8::Number::New(isolate_, hog.id).As<Value>() : null,
        v8::Number::New(isolate_, static_cast<double>(hog.until - hog.since) / 1e6), stack};
    // What it throws goes uncaught, as from any callback of the event loop.
    [[maybe_unused]] auto nothing =
        node::MakeCallback(isolate_, context->Global(), report_.Get(isolate_), 4, arguments, node::async_context{0, 0});
  }
  delivering_ = false;
}

}  // namespace runtime
