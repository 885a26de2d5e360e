#include "transfer.h"

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <node_buffer.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>
#endif

namespace runtime {

using v8::Context;
using v8::FunctionCallbackInfo;
using v8::Isolate;
using v8::Local;
using v8::Value;

#if defined(__linux__)

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

void Receive(const FunctionCallbackInfo<Value>& args) {
  const size_t used = args[2].As<v8::Uint32>()->Value();
  iovec parts[] = {{node::Buffer::Data(args[1]) + used, node::Buffer::Length(args[1]) - used},
                   {node::Buffer::Data(args[3]), node::Buffer::Length(args[3])}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const ssize_t count = recvmsg(args[0].As<v8::Int32>()->Value(), &message, MSG_DONTWAIT);
  if (count < 0) return args.GetReturnValue().Set(-errno);
  const size_t size = static_cast<size_t>(count);
  if (size <= parts[0].iov_len) return args.GetReturnValue().Set(static_cast<int32_t>(size));
  Local<v8::Object> chunk;
  if (!node::Buffer::New(args.GetIsolate(), size).ToLocal(&chunk)) return;
  char* to = node::Buffer::Data(chunk);
  memcpy(to, parts[0].iov_base, parts[0].iov_len);
  memcpy(to + parts[0].iov_len, parts[1].iov_base, size - parts[0].iov_len);
  args.GetReturnValue().Set(chunk);
}

void Send(const FunctionCallbackInfo<Value>& args) {
  const ssize_t count = send(args[0].As<v8::Int32>()->Value(), node::Buffer::Data(args[1]),
                             node::Buffer::Length(args[1]), MSG_DONTWAIT | MSG_NOSIGNAL);
  args.GetReturnValue().Set(static_cast<double>(count < 0 ? -errno : count));
}

#else  // elsewhere the pool does it, and Node's own streams

void Transfer(const FunctionCallbackInfo<Value>&) {}
void Receive(const FunctionCallbackInfo<Value>&) {}
void Send(const FunctionCallbackInfo<Value>&) {}

#endif

}  // namespace runtime
