#include "file_work.h"

#include <node_buffer.h>

#include <utility>
#include <vector>

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

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

std::shared_ptr<FileWork> FileWork::Create(Local<Context> context, Local<Function> done, Local<Function> ready) {
  Isolate* isolate = Isolate::GetCurrent();
  std::shared_ptr<FileWork> work(new FileWork(isolate, context));
  work->done_.Reset(isolate, done);
  work->ready_.Reset(isolate, ready);
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
  while (!work->watches_.empty()) work->Unwatch(*work->watches_.begin());
  work->done_.Reset();
  work->ready_.Reset();
  work->context_.Reset();
  if (work->poll_ != nullptr) {
    // The handle keeps what it belongs to until the loop has let go of it.
    work->poll_->data = new std::shared_ptr<FileWork>(work->shared_from_this());
    uv_close(reinterpret_cast<uv_handle_t*>(work->poll_), [](uv_handle_t* handle) {
      std::unique_ptr<std::shared_ptr<FileWork>> owner(static_cast<std::shared_ptr<FileWork>*>(handle->data));
      delete std::exchange((*owner)->poll_, nullptr);
      (*owner)->FinishIfStopped();
    });
  }
  work->FinishIfStopped();
}

void FileWork::FinishIfStopped() {
  if (!running_.empty() || poll_ != nullptr || stopped_ == nullptr) return;
#if defined(__linux__)
  if (set_ >= 0) close(std::exchange(set_, -1));
#endif
  std::exchange(stopped_, nullptr)(stopped_argument_);
}

#if defined(__linux__)

int FileWork::OpenSet() {
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

int FileWork::Watch(int fd, bool writing) {
  if (stopping_) return UV_ECANCELED;
  if (set_ < 0) {
    const int error = OpenSet();
    if (error < 0) return error;
  }
  // A watch holds on to the open file, as a call that is under way in the kernel would: whoever closes `fd`, and gets the
  // same number for another file, does not give us that one.
  const int watch = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (watch < 0) return -errno;
  epoll_event event{};
  event.events = writing ? EPOLLOUT : EPOLLIN;
  event.data.fd = watch;
  if (epoll_ctl(set_, EPOLL_CTL_ADD, watch, &event) != 0) {
    const int error = -errno;
    close(watch);
    return error;
  }
  if (watches_.empty()) {
    uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<FileWork*>(poll->data)->OnReady(); });
  }
  watches_.insert(watch);
  return watch;
}

void FileWork::Unwatch(int watch) {
  if (watches_.erase(watch) == 0) return;
  epoll_ctl(set_, EPOLL_CTL_DEL, watch, nullptr);  // others may have the open file, too: closing is not enough
  close(watch);
  if (watches_.empty() && !stopping_) uv_poll_stop(poll_);
}

void FileWork::OnReady() {
  std::shared_ptr<FileWork> self = shared_from_this();
  epoll_event events[64];
  const int count = epoll_wait(set_, events, 64, 0);
  for (int i = 0; i < count && !stopping_; i++) {
    if (watches_.count(events[i].data.fd) == 0) continue;  // let go by one before it
    HandleScope handles(isolate_);
    Context::Scope scope(context_.Get(isolate_));
    Local<Value> watch = v8::Integer::New(isolate_, events[i].data.fd);
    (void)node::MakeCallback(isolate_, isolate_->GetCurrentContext()->Global(), ready_.Get(isolate_), 1, &watch, {0, 0});
  }
}

namespace {

class Parts {
 public:
  explicit Parts(Local<Context> context, Local<v8::Array> views) {
    for (uint32_t i = 0; i < views->Length() && i < kMost; i++) {
      Local<Value> view;
      if (!views->Get(context, i).ToLocal(&view) || !view->IsArrayBufferView()) return;
      Local<v8::ArrayBufferView> bytes = view.As<v8::ArrayBufferView>();
      parts_.push_back({static_cast<char*>(bytes->Buffer()->Data()) + bytes->ByteOffset(), bytes->ByteLength()});
    }
  }
  ssize_t Transfer(int fd, bool writing, int flags) const {
    const int count = static_cast<int>(parts_.size());
    return writing ? pwritev2(fd, parts_.data(), count, -1, flags) : preadv2(fd, parts_.data(), count, -1, flags);
  }
  ssize_t TransferSocket(int fd, bool writing) const {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts_.data());
    message.msg_iovlen = parts_.size();
    return writing ? sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) : recvmsg(fd, &message, MSG_DONTWAIT);
  }

 private:
  static constexpr uint32_t kMost = 1024;  // the system's own limit
  std::vector<iovec> parts_;
};

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

// Terminals, and on older systems pipes, know no single call that does not wait; but open files that do not. One that is
// there already is shared with who knows whom, so this opens its like for the call.
ssize_t TransferByTheLike(int fd, bool writing, const Parts& parts) {
  if ((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) return parts.Transfer(fd, writing, 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int like = open(path.c_str(), (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (like < 0) {
    errno = EOPNOTSUPP;
    return -1;
  }
  const ssize_t count = parts.Transfer(like, writing, 0);
  const int error = errno;
  close(like);
  errno = error;
  return count;
}

// The other end of a terminal: what is opened by its path is another terminal.
bool IsTerminalMaster(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(5, 2);
}

ssize_t TransferNow(int fd, const struct stat& status, bool writing, const Parts& parts) {
  if (S_ISSOCK(status.st_mode)) return parts.TransferSocket(fd, writing);
  const ssize_t count = parts.Transfer(fd, writing, RWF_NOWAIT);
  if (count >= 0 || errno != EOPNOTSUPP) return count;
  const bool has_like = S_ISFIFO(status.st_mode) || (!IsTerminalMaster(status) && isatty(fd));
  if (has_like) return TransferByTheLike(fd, writing, parts);
  errno = EOPNOTSUPP;
  return -1;
}

}  // namespace

void Transfer(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  const int fd = args[0].As<v8::Integer>()->Value();
  const bool writing = args[2]->IsTrue();
  struct stat status;
  int error = fstat(fd, &status) == 0 ? 0 : errno;
  if (error == 0) {
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode)) return;
    const Parts parts(isolate->GetCurrentContext(), args[1].As<v8::Array>());
    const ssize_t count = TransferNow(fd, status, writing, parts);
    if (count >= 0) {
      args.GetReturnValue().Set(static_cast<double>(count));
      return;
    }
    error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR) args.GetReturnValue().SetNull();
    if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == EOPNOTSUPP) return;
  }
  isolate->ThrowException(node::UVException(isolate, -error, writing ? "write" : "read"));
}

#else  // elsewhere the pool does it

int FileWork::Watch(int, bool) { return UV_ENOSYS; }
void FileWork::Unwatch(int) {}
void FileWork::OnReady() {}
void Transfer(const FunctionCallbackInfo<Value>&) {}

#endif

}  // namespace runtime
