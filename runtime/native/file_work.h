// Work on files in the pool of the event loop.
#pragma once

#include <node.h>
#include <uv.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "file_jobs.h"

namespace runtime {

// One for each environment that asks for it.
class FileWork : public std::enable_shared_from_this<FileWork> {
 public:
  // done(id, error, result): a job has ended.
  static std::shared_ptr<FileWork> Create(v8::Local<v8::Context> context, v8::Local<v8::Function> done);
  ~FileWork();

  // Puts a job into the pool. Its result: what was read, as text or as a Buffer; what was made; undefined if it is for
  // Node's own functions to do, null if that is because it is no plain file. Returns its id; 0 if the environment ends, and
  // nothing is begun any more.
  uint32_t Start(std::unique_ptr<FileJob> job, bool as_text);
  // Nobody waits for the job any more: it ends as soon as it can, and nothing is said of it.
  void Cancel(uint32_t id);

 private:
  struct Running {
    uv_work_t request;
    std::shared_ptr<FileWork> owner;
    uint32_t id;
    bool as_text;
    std::unique_ptr<FileJob> job;
    node::AsyncResource resource;  // async_hooks tells of it, as of Node's own requests
  };

  FileWork(v8::Isolate* isolate, v8::Local<v8::Context> context);
  void OnDone(std::unique_ptr<Running> running, int status);
  v8::Local<v8::Value> ErrorOf(const FileJob& job) const;
  v8::Local<v8::Value> ResultOf(Running* running) const;
  static void Stop(void* self, void (*stopped)(void*), void* argument);
  void FinishIfStopped();

  v8::Isolate* const isolate_;
  v8::Global<v8::Context> context_;
  v8::Global<v8::Function> done_;
  uv_loop_t* const loop_;
  node::AsyncCleanupHookHandle hook_;

  uint32_t last_id_ = 0;
  std::unordered_map<uint32_t, Running*> running_;

  bool stopping_ = false;  // the environment ends: no more JavaScript
  void (*stopped_)(void*) = nullptr;
  void* stopped_argument_ = nullptr;
};

}  // namespace runtime
