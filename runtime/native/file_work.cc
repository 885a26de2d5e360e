#include "file_work.h"

#include <node_buffer.h>

#include <utility>
#include <vector>

namespace runtime {

using v8::Context;
using v8::Function;
using v8::FunctionCallbackInfo;
using v8::Global;
using v8::HandleScope;
using v8::Isolate;
using v8::Local;
using v8::NewStringType;
using v8::String;
using v8::Value;

std::shared_ptr<FileWork> FileWork::Create(Local<Context> context, Local<Function> done) {
  Isolate* isolate = Isolate::GetCurrent();
  std::shared_ptr<FileWork> work(new FileWork(isolate, context));
  work->done_.Reset(isolate, done);
  work->hook_ = node::AddEnvironmentCleanupHook(isolate, Stop, work.get());
  return work;
}

FileWork::FileWork(Isolate* isolate, Local<Context> context)
    : isolate_(isolate), context_(isolate, context), loop_(node::GetCurrentEventLoop(isolate)) {}

FileWork::~FileWork() = default;

uint32_t FileWork::Start(std::unique_ptr<FileJob> job, bool as_text) {
  if (stopping_) return 0;
  auto* running = new Running{{},
                              shared_from_this(),
                              ++last_id_,
                              as_text,
                              std::move(job),
                              {isolate_, v8::Object::New(isolate_), "FILEJOB"}};
  running->request.data = running;
  running_[running->id] = running;
  uv_queue_work(
      loop_, &running->request, [](uv_work_t* request) { static_cast<Running*>(request->data)->job->Run(); },
      [](uv_work_t* request, int status) {
        std::unique_ptr<Running> ended(static_cast<Running*>(request->data));
        std::shared_ptr<FileWork> owner = ended->owner;
        owner->OnDone(std::move(ended), status);
      });
  return running->id;
}

void FileWork::Cancel(uint32_t id) {
  auto found = running_.find(id);
  if (found == running_.end()) return;
  found->second->job->cancelled = true;
  uv_cancel(reinterpret_cast<uv_req_t*>(&found->second->request));
}

void FileWork::OnDone(std::unique_ptr<Running> running, int status) {
  running_.erase(running->id);
  if (stopping_) return FinishIfStopped();
  if (status == UV_ECANCELED || running->job->cancelled) return;
  HandleScope handles(isolate_);
  Context::Scope scope(context_.Get(isolate_));
  Local<Value> outcome[] = {v8::Integer::NewFromUnsigned(isolate_, running->id), ErrorOf(*running->job),
                            ResultOf(running.get())};
  (void)running->resource.MakeCallback(done_.Get(isolate_), 3, outcome);
}

Local<Value> FileWork::ErrorOf(const FileJob& job) const {
  if (job.error == 0) return v8::Undefined(isolate_);
  return node::UVException(isolate_, job.error, job.syscall, nullptr, job.error_has_path ? job.path.c_str() : nullptr);
}

Local<Value> FileWork::ResultOf(Running* running) const {
  FileJob& job = *running->job;
  if (job.special) return v8::Null(isolate_);
  Local<Value> result = v8::Undefined(isolate_);
  if (!job.done || job.error != 0) return result;
  if (job.kind != FileJob::kRead) {
    Local<String> first;
    if (String::NewFromUtf8(isolate_, job.first.data(), NewStringType::kNormal, static_cast<int>(job.first.size()))
            .ToLocal(&first))
      result = first;
  } else if (running->as_text) {
    Local<String> text;
    if (String::NewFromUtf8(isolate_, job.bytes, NewStringType::kNormal, static_cast<int>(job.size)).ToLocal(&text))
      result = text;
  } else {
    Local<v8::Object> buffer;
    if (node::Buffer::New(isolate_, std::exchange(job.bytes, nullptr), job.size).ToLocal(&buffer)) result = buffer;
  }
  return result;
}

// The environment ends. Once the loop has come to rest, `stopped` is called, and it goes on ending.
void FileWork::Stop(void* self, void (*stopped)(void*), void* argument) {
  auto* work = static_cast<FileWork*>(self);
  work->stopping_ = true;
  work->stopped_ = stopped;
  work->stopped_argument_ = argument;
  for (auto& [id, running] : work->running_) {
    running->job->cancelled = true;
    uv_cancel(reinterpret_cast<uv_req_t*>(&running->request));
  }
  work->done_.Reset();
  work->context_.Reset();
  work->FinishIfStopped();
}

void FileWork::FinishIfStopped() {
  if (!running_.empty() || stopped_ == nullptr) return;
  std::exchange(stopped_, nullptr)(stopped_argument_);
}

}  // namespace runtime
