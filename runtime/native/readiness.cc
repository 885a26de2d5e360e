#include "readiness.h"

#include <utility>

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#endif

namespace runtime {

using v8::Context;
using v8::Function;
using v8::HandleScope;
using v8::Isolate;
using v8::Local;
using v8::Value;

std::shared_ptr<Readiness> Readiness::Create(Local<Context> context, Local<Function> ready,
                                             Local<v8::Int32Array> found) {
  Isolate* isolate = Isolate::GetCurrent();
  std::shared_ptr<Readiness> readiness(new Readiness(isolate, context));
  readiness->ready_.Reset(isolate, ready);
  readiness->found_ = found->Buffer()->GetBackingStore();
  readiness->most_ = found->Length();
  readiness->hook_ = node::AddEnvironmentCleanupHook(isolate, Stop, readiness.get());
  return readiness;
}

Readiness::Readiness(Isolate* isolate, Local<Context> context)
    : isolate_(isolate), context_(isolate, context), loop_(node::GetCurrentEventLoop(isolate)) {}

Readiness::~Readiness() = default;

// The environment ends. Once the loop has let go of the handle, `stopped` is called, and it goes on ending.
void Readiness::Stop(void* self, void (*stopped)(void*), void* argument) {
  auto* readiness = static_cast<Readiness*>(self);
  readiness->stopping_ = true;
  readiness->stopped_ = stopped;
  readiness->stopped_argument_ = argument;
  while (!readiness->watches_.empty()) readiness->Unwatch(*readiness->watches_.begin());
  readiness->ready_.Reset();
  readiness->context_.Reset();
  if (readiness->poll_ != nullptr) {
    // The handle keeps what it belongs to until the loop has let go of it.
    readiness->poll_->data = new std::shared_ptr<Readiness>(readiness->shared_from_this());
    uv_close(reinterpret_cast<uv_handle_t*>(readiness->poll_), [](uv_handle_t* handle) {
      std::unique_ptr<std::shared_ptr<Readiness>> owner(static_cast<std::shared_ptr<Readiness>*>(handle->data));
      delete std::exchange((*owner)->poll_, nullptr);
      (*owner)->FinishIfStopped();
    });
  }
  readiness->FinishIfStopped();
}

void Readiness::FinishIfStopped() {
  if (poll_ != nullptr || stopped_ == nullptr) return;
#if defined(__linux__)
  if (set_ >= 0) close(std::exchange(set_, -1));
#endif
  std::exchange(stopped_, nullptr)(stopped_argument_);
}

#if defined(__linux__)

int Readiness::OpenSet() {
  set_ = epoll_create1(EPOLL_CLOEXEC);
  if (set_ < 0) return -errno;
  poll_ = new uv_poll_t;
  poll_->data = this;
  const int error = uv_poll_init(loop_, poll_, set_);
  if (error == 0) return 0;
  delete std::exchange(poll_, nullptr);
  close(std::exchange(set_, -1));
  return error;
}

int Readiness::Add(int fd, uint32_t events) {
  if (stopping_) return UV_ECANCELED;
  if (set_ < 0) {
    const int error = OpenSet();
    if (error < 0) return error;
  }
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(set_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

// While there is anything to poll for, the loop has something to wait for.
void Readiness::Poll() {
  if (stopping_) return;
  const bool wanted = !watches_.empty() || !attended_.empty();
  if (wanted == (uv_is_active(reinterpret_cast<uv_handle_t*>(poll_)) != 0)) return;
  if (wanted)
    uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<Readiness*>(poll->data)->OnReady(); });
  else
    uv_poll_stop(poll_);
}

int Readiness::Watch(int fd, bool writing) {
  // A watch holds on to the open file, as a call that is under way in the kernel would: whoever closes `fd`, and gets the
  // same number for another file, does not give us that one.
  const int watch = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (watch < 0) return -errno;
  const int error = Add(watch, writing ? EPOLLOUT : EPOLLIN);
  if (error != 0) {
    close(watch);
    return error;
  }
  watches_.insert(watch);
  Poll();
  return watch;
}

void Readiness::Unwatch(int watch) {
  if (watches_.erase(watch) == 0) return;
  epoll_ctl(set_, EPOLL_CTL_DEL, watch, nullptr);  // others may have the open file, too: closing is not enough
  close(watch);
  Poll();
}

int Readiness::Attend(int fd) {
  const int error = Add(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
  if (error != 0) return error;
  attended_.insert(fd);
  Poll();
  return 0;
}

void Readiness::Disregard(int fd) {
  if (attended_.erase(fd) == 0) return;
  epoll_ctl(set_, EPOLL_CTL_DEL, fd, nullptr);  // fails where it was closed before, which is as good
  Poll();
}

void Readiness::OnReady() {
  std::shared_ptr<Readiness> self = shared_from_this();
  epoll_event events[64];
  const int most = static_cast<int>(std::min(most_, sizeof events / sizeof events[0]));
  const int count = epoll_wait(set_, events, most, 0);
  if (count <= 0) return;
  auto* found = static_cast<int32_t*>(found_->Data());
  for (int i = 0; i < count; i++) {
    const bool hung_up = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    found[i] = hung_up ? -1 - events[i].data.fd : events[i].data.fd;
  }
  HandleScope handles(isolate_);
  Context::Scope scope(context_.Get(isolate_));
  Local<Value> argument = v8::Integer::New(isolate_, count);
  (void)node::MakeCallback(isolate_, isolate_->GetCurrentContext()->Global(), ready_.Get(isolate_), 1, &argument, {0, 0});
}

#else  // elsewhere a thread of the pool waits, and Node's own streams do

int Readiness::Watch(int, bool) { return UV_ENOSYS; }
void Readiness::Unwatch(int) {}
int Readiness::Attend(int) { return UV_ENOSYS; }
void Readiness::Disregard(int) {}

#endif

}  // namespace runtime
