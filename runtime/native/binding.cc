// What JavaScript sees of the coroutines. No argument is checked here: coroutine.ts is the only caller.
#include <cstdlib>
#include <initializer_list>

#include "cached_files.h"
#include "coroutine.h"
#include "datagram.h"
#include "deafen.h"
#include "file_work.h"
#include "origin.h"
#include "readiness.h"
#include "transfer.h"

#if NODE_MODULE_VERSION < 115
#error "Node 20 or later is needed"
#endif

namespace runtime {
namespace {

using v8::Context;
using v8::External;
using v8::Function;
using v8::FunctionCallback;
using v8::FunctionCallbackInfo;
using v8::Integer;
using v8::Isolate;
using v8::Local;
using v8::NewStringType;
using v8::Object;
using v8::String;
using v8::Value;

// The addon's instance in one environment.
struct Instance {
  Isolate* isolate;
  v8::Global<Context> context;
  std::unique_ptr<Carrier> carrier;
  std::shared_ptr<FileWork> files;
  std::shared_ptr<Readiness> readiness;
  Pulse pulse;
};

Local<String> ToString(Isolate* isolate, const std::string& text) {
  return String::NewFromUtf8(isolate, text.data(), NewStringType::kNormal, static_cast<int>(text.size()))
      .ToLocalChecked();
}

Instance* InstanceOf(const FunctionCallbackInfo<Value>& args) {
  return static_cast<Instance*>(args.Data().As<External>()->Value());
}

Carrier* CarrierOf(const FunctionCallbackInfo<Value>& args) {
  return static_cast<Carrier*>(args.Data().As<External>()->Value());
}

void Throw(Isolate* isolate, const std::string& message) {
  isolate->ThrowException(v8::Exception::Error(ToString(isolate, message)));
}

// acquire(stackSize): index
void Acquire(const FunctionCallbackInfo<Value>& args) {
  std::string error;
  int index = CarrierOf(args)->Acquire(static_cast<size_t>(args[0].As<v8::Number>()->Value()), &error);
  if (index < 0) return Throw(args.GetIsolate(), error);
  args.GetReturnValue().Set(index);
}

// resume(index)
void Resume(const FunctionCallbackInfo<Value>& args) { CarrierOf(args)->Resume(args[0].As<v8::Uint32>()->Value()); }

// suspend()
void Suspend(const FunctionCallbackInfo<Value>& args) { CarrierOf(args)->Suspend(); }

// rest(): suspend with nothing more to run on this stack for now
void Rest(const FunctionCallbackInfo<Value>& args) { CarrierOf(args)->Rest(); }

// hasRoom(): whether a blocking call can begin on what is left of the running stack
void HasRoom(const FunctionCallbackInfo<Value>& args) { args.GetReturnValue().Set(CarrierOf(args)->HasRoom()); }

// counts(): [created, cold]
void Counts(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Carrier* carrier = CarrierOf(args);
  Local<Value> counts[] = {v8::Number::New(isolate, static_cast<double>(carrier->created())),
                           v8::Number::New(isolate, static_cast<double>(carrier->cold()))};
  args.GetReturnValue().Set(v8::Array::New(isolate, counts, 2));
}

// inspect(promise, outcome): 0 pending; 1 fulfilled, 2 rejected; then outcome[0] is set
void Inspect(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Local<v8::Promise> promise = args[0].As<v8::Promise>();
  const v8::Promise::PromiseState state = promise->State();
  if (state != v8::Promise::kPending &&
      args[1].As<Object>()->Set(isolate->GetCurrentContext(), 0, promise->Result()).IsNothing()) {
    return;  // the stack is full, or the worker terminated: an exception is on its way
  }
  args.GetReturnValue().Set(state == v8::Promise::kPending ? 0 : state == v8::Promise::kFulfilled ? 1 : 2);
}

// holdingContexts(fn): calls fn while no context comes or goes
void HoldingContexts(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  ContextsHeld held;
  Local<Value> value;
  if (args[0].As<Function>()->Call(isolate->GetCurrentContext(), v8::Undefined(isolate), 0, nullptr).ToLocal(&value))
    args.GetReturnValue().Set(value);
}

// landSteps(landing): what a debugger's step ends in where a stack is left
void LandSteps(const FunctionCallbackInfo<Value>& args) { CarrierOf(args)->SetLanding(args[0].As<Function>()); }

void Cleanup(void* data) {
  auto* instance = static_cast<Instance*>(data);
  v8::HandleScope handles(instance->isolate);
  if (instance->carrier) instance->carrier->Unwind();
  delete instance;
}

struct Named {
  const char* name;
  FunctionCallback callback;
};

// False where the stack is too full for it, and an exception is on its way.
bool Export(Local<Context> context, Local<Object> target, void* data, std::initializer_list<Named> functions) {
  Isolate* isolate = Isolate::GetCurrent();
  for (const Named& one : functions) {
    Local<String> key = ToString(isolate, one.name);
    Local<Function> function;
    if (!Function::New(context, one.callback, External::New(isolate, data)).ToLocal(&function)) return false;
    function->SetName(key);
    if (!target->Set(context, key, function).FromMaybe(false)) return false;
  }
  return true;
}

// A collection of wasm code with archived threads aborts the process in V8.
void KeepWasmCode() { v8::V8::SetFlagsFromString("--no-wasm-code-gc"); }

// forbidFastCalls(): see guards/fast-calls.ts
void ForbidFastCalls(const FunctionCallbackInfo<Value>& args) {
  v8::V8::SetFlagsFromString("--no-turbo-fast-api-calls");
  KeepWasmCode();
}

// open("swap" | "handoff", main, failed): the functions above, for this environment's carrier. Throws why it can't.
void Open(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Instance* instance = InstanceOf(args);
  if (instance->carrier) return Throw(isolate, "another copy of the package has opened it in this thread");
  Local<Context> context = instance->context.Get(isolate);
  if (!v8::Locker::IsLocked(isolate)) return Throw(isolate, "the embedder does not hold the isolate's lock");
  KeepWasmCode();
  std::string reason;
  const bool swap = args[0].As<String>()->StringEquals(ToString(isolate, "swap"));
  std::unique_ptr<Switch> machine = swap ? CreateSwap(&reason) : CreateHandoff(&reason);
  if (!machine) return Throw(isolate, reason);
  instance->carrier = std::make_unique<Carrier>(isolate, context, std::move(machine), &instance->pulse);
  Carrier* carrier = instance->carrier.get();
  carrier->SetMain(args[1].As<Function>(), args[2].As<Function>());
  Local<Object> functions = Object::New(isolate);
  const bool exported = Export(context, functions, carrier,
      {
          {"acquire", Acquire},
          {"resume", Resume},
          {"suspend", Suspend},
          {"rest", Rest},
          {"hasRoom", HasRoom},
          {"counts", Counts},
          {"inspect", Inspect},
          {"holdingContexts", HoldingContexts},
          {"landSteps", LandSteps},
      });
  if (!exported) {
    instance->carrier.reset();
    return;
  }
  args.GetReturnValue().Set(functions);
}

// expectSteps(): from now on, in all threads
void ExpectSteps(const FunctionCallbackInfo<Value>&) { Carrier::ExpectSteps(); }

// monitor(threshold, records, own, report or undefined): watches this thread, see monitor.h. Throws why it can't.
void StartMonitor(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Instance* instance = InstanceOf(args);
  if (!v8::Locker::IsLocked(isolate)) return Throw(isolate, "the embedder does not hold the isolate's lock");
  if (Monitor* running = Monitor::Of(instance->pulse)) running->Stop();
  Monitor::Options options;
  options.threshold = static_cast<uint64_t>(args[0].As<v8::Number>()->Value() * 1e6);
  options.records = args[1].As<v8::Array>();
  String::Utf8Value own(isolate, args[2]);
  if (*own == nullptr) return;  // no room for it: an exception is on its way
  options.own = *own;
  if (args[3]->IsFunction()) options.report = args[3].As<Function>();
  std::string error;
  if (Monitor::Start(instance->context.Get(isolate), &instance->pulse, options, &error) == nullptr)
    Throw(isolate, error);
}

// unmonitor()
void StopMonitor(const FunctionCallbackInfo<Value>& args) {
  if (Monitor* running = Monitor::Of(InstanceOf(args)->pulse)) running->Stop();
}

FileWork* FileWorkOf(const FunctionCallbackInfo<Value>& args) {
  return static_cast<FileWork*>(args.Data().As<External>()->Value());
}

std::string BytesOf(Isolate* isolate, Local<Value> value) {
  std::string bytes;
  if (value->IsArrayBufferView()) {
    Local<v8::ArrayBufferView> view = value.As<v8::ArrayBufferView>();
    bytes.resize(view->ByteLength());
    view->CopyContents(&bytes[0], bytes.size());
  } else if (value->IsString()) {
    String::Utf8Value text(isolate, value);
    if (*text != nullptr) bytes.assign(*text, static_cast<size_t>(text.length()));
  }
  return bytes;
}

// start(kind, path, data, flags, mode, asText): id
void StartJob(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  auto job = std::make_unique<FileJob>();
  job->kind = static_cast<FileJob::Kind>(args[0].As<Integer>()->Value());
  job->path = BytesOf(isolate, args[1]);
  job->data = BytesOf(isolate, args[2]);
  job->flags = static_cast<int>(args[3].As<Integer>()->Value());
  job->mode = static_cast<int>(args[4].As<Integer>()->Value());
  args.GetReturnValue().Set(FileWorkOf(args)->Start(std::move(job), args[5]->IsTrue()));
}

// cancel(id)
void CancelJob(const FunctionCallbackInfo<Value>& args) { FileWorkOf(args)->Cancel(args[0].As<v8::Uint32>()->Value()); }

// fileWork(done): the functions above
void OpenFileWork(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Instance* instance = InstanceOf(args);
  if (instance->files) return Throw(isolate, "another copy of the package has opened it in this thread");
  Local<Context> context = instance->context.Get(isolate);
  Local<Object> functions = Object::New(isolate);
  std::shared_ptr<FileWork> files = FileWork::Create(context, args[0].As<Function>());
  const bool exported = Export(context, functions, files.get(),
      {
          {"start", StartJob},
          {"cancel", CancelJob},
      });
  if (!exported) return;
  instance->files = std::move(files);
  args.GetReturnValue().Set(functions);
}

Readiness* ReadinessOf(const FunctionCallbackInfo<Value>& args) {
  return static_cast<Readiness*>(args.Data().As<External>()->Value());
}

int DescriptorOf(const FunctionCallbackInfo<Value>& args) { return args[0].As<v8::Int32>()->Value(); }

// watch(fd, writing): another descriptor, or an error's number
void Watch(const FunctionCallbackInfo<Value>& args) {
  args.GetReturnValue().Set(ReadinessOf(args)->Watch(DescriptorOf(args), args[1]->IsTrue()));
}

// unwatch(watch)
void Unwatch(const FunctionCallbackInfo<Value>& args) { ReadinessOf(args)->Unwatch(DescriptorOf(args)); }

// attend(fd): 0, or an error's number
void Attend(const FunctionCallbackInfo<Value>& args) {
  args.GetReturnValue().Set(ReadinessOf(args)->Attend(DescriptorOf(args)));
}

// disregard(fd)
void Disregard(const FunctionCallbackInfo<Value>& args) { ReadinessOf(args)->Disregard(DescriptorOf(args)); }

// readiness(ready, found): the functions above
void OpenReadiness(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Instance* instance = InstanceOf(args);
  if (instance->readiness) return Throw(isolate, "another copy of the package has opened it in this thread");
  Local<Context> context = instance->context.Get(isolate);
  Local<Object> functions = Object::New(isolate);
  std::shared_ptr<Readiness> readiness =
      Readiness::Create(context, args[0].As<Function>(), args[1].As<v8::Int32Array>());
  const bool exported = Export(context, functions, readiness.get(),
      {
          {"watch", Watch},
          {"unwatch", Unwatch},
          {"attend", Attend},
          {"disregard", Disregard},
      });
  if (!exported) return;
  instance->readiness = std::move(readiness);
  args.GetReturnValue().Set(functions);
}

}  // namespace

NODE_MODULE_INIT() {
  Isolate* isolate = Isolate::GetCurrent();
  auto* instance = new Instance{isolate, v8::Global<Context>(isolate, context), nullptr, nullptr, nullptr, {}};
  node::AddEnvironmentCleanupHook(isolate, Cleanup, instance);
  [[maybe_unused]] const bool exported = Export(context, exports, instance,
      {
          {"open", Open},
          {"forbidFastCalls", ForbidFastCalls},
          {"expectSteps", ExpectSteps},
          {"monitor", StartMonitor},
          {"unmonitor", StopMonitor},
          {"readCached", ReadCached},
          {"existsCached", ExistsCached},
          {"readNow", ReadDescriptorNow},
          {"scriptOf", ScriptOf},
          {"scriptName", ScriptName},
          {"transfer", Transfer},
          {"receive", Receive},
          {"send", Send},
          {"receiveFrom", ReceiveFrom},
          {"sendTo", SendTo},
          {"deafen", Deafen},
          {"fileWork", OpenFileWork},
          {"readiness", OpenReadiness},
      });
}

}  // namespace runtime
