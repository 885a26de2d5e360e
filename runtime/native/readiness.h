// News of descriptors that can be read from, or written to.
#pragma once

#include <node.h>
#include <uv.h>

#include <memory>
#include <unordered_set>

namespace runtime {

// One for each environment that asks for it.
class Readiness : public std::enable_shared_from_this<Readiness> {
 public:
  // ready(count): so many descriptors are ready. Their numbers are in `found`, below 0 (-1 - fd) if the other end has hung up.
  static std::shared_ptr<Readiness> Create(v8::Local<v8::Context> context, v8::Local<v8::Function> ready,
                                           v8::Local<v8::Int32Array> found);
  ~Readiness();

  // Tells when `fd` can be read from, or written to, as often as it is; until `Unwatch`. Returns a descriptor of its own for
  // the same open file, by which the watch is known; or libuv's error, EPERM where there is nothing to wait for.
  int Watch(int fd, bool writing);
  void Unwatch(int watch);

  // Tells each time that more has come to `fd`, a socket; until `Disregard`, or until it is closed. Returns 0, or libuv's
  // error.
  int Attend(int fd);
  void Disregard(int fd);

 private:
  Readiness(v8::Isolate* isolate, v8::Local<v8::Context> context);
  int Add(int fd, uint32_t events);
  int OpenSet();
  void Poll();
  void OnReady();
  static void Stop(void* self, void (*stopped)(void*), void* argument);
  void FinishIfStopped();

  v8::Isolate* const isolate_;
  v8::Global<v8::Context> context_;
  v8::Global<v8::Function> ready_;
  std::shared_ptr<v8::BackingStore> found_;
  size_t most_ = 0;
  uv_loop_t* const loop_;
  node::AsyncCleanupHookHandle hook_;

  // An epoll set of our own, which the loop polls. Were the descriptors polled by the loop itself, libuv would make them
  // non-blocking, and so for every process that shares their open files: a terminal's shell, say.
  int set_ = -1;
  uv_poll_t* poll_ = nullptr;
  std::unordered_set<int> watches_;
  std::unordered_set<int> attended_;

  bool stopping_ = false;  // the environment ends: no more JavaScript
  void (*stopped_)(void*) = nullptr;
  void* stopped_argument_ = nullptr;
};

}  // namespace runtime
