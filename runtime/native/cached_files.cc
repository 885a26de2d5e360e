#include "cached_files.h"

#include <node_buffer.h>

#include <memory>
#include <string>

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

namespace runtime {
namespace {

using v8::FunctionCallbackInfo;
using v8::Integer;
using v8::Isolate;
using v8::Local;
using v8::Value;

// Answers of existsCached and readNow beside those that they are asked for.
constexpr int kUnknown = -1;

#if defined(__linux__)

// More than this is no small file: to copy it would keep other fibers waiting.
constexpr size_t kLargest = 128 * 1024;

// What the kernel's headers of the oldest supported systems do not have.
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif
struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};
constexpr uint64_t kResolveCached = 0x20;  // since Linux 5.12; before that the call fails, and nothing is known

class Descriptor {
 public:
  // Fails with EAGAIN where the path would have to be looked up on a disk.
  Descriptor(const char* path, int flags) {
    OpenHow how{static_cast<uint64_t>(flags | O_CLOEXEC), 0, kResolveCached};
    fd_ = static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return fd_; }

 private:
  int fd_;
};

// Whether opening a file there waits for nobody else's answer. A file system on a block device has its number; the
// others, of which some are far away, have made-up ones.
bool IsLocal(int fd, const struct stat& status) {
  if (major(status.st_dev) != 0) return true;
  struct statfs system;
  if (fstatfs(fd, &system) != 0) return false;
  switch (static_cast<uint32_t>(system.f_type)) {
    case 0x01021994:  // tmpfs
    case 0x794C7630:  // overlayfs, as in containers
    case 0x9123683E:  // btrfs
    case 0x2FC12FC1:  // zfs
      return true;
    default:
      return false;
  }
}

ssize_t ReadNow(int fd, void* data, size_t size, int64_t position) {
  iovec part{data, size};
  return preadv2(fd, &part, 1, static_cast<off_t>(position), RWF_NOWAIT);
}

// A path as the system takes it, from a string or bytes; null if it has a zero in it.
class Path {
 public:
  Path(Isolate* isolate, Local<Value> value) {
    if (value->IsArrayBufferView()) {
      Local<v8::ArrayBufferView> view = value.As<v8::ArrayBufferView>();
      text_.resize(view->ByteLength());
      view->CopyContents(&text_[0], text_.size());
    } else {
      v8::String::Utf8Value text(isolate, value);
      if (*text != nullptr) text_.assign(*text, static_cast<size_t>(text.length()));
    }
  }
  const char* get() const { return text_.empty() || text_.find('\0') != std::string::npos ? nullptr : text_.c_str(); }

 private:
  std::string text_;
};

// readCached(path, text): the contents, as bytes or as UTF-8 text; undefined if they are not to be had without waiting, in
// whatever way
void ReadCached(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Path path(isolate, args[0]);
  if (path.get() == nullptr) return;
  // First without opening it: that would wake the writer of a fifo, or rewind a tape.
  Descriptor place(path.get(), O_PATH);
  struct stat status;
  if (place < 0 || fstat(place, &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (static_cast<uint64_t>(status.st_size) > kLargest || !IsLocal(place, status)) return;
  Descriptor file(path.get(), O_RDONLY | O_NONBLOCK);
  if (file < 0) return;
  // One more, to see whether it ends there.
  const auto size = static_cast<size_t>(status.st_size);
  std::unique_ptr<char[]> data(new char[size + 1]);
  if (ReadNow(file, data.get(), size + 1, 0) != status.st_size) return;
  if (args[1]->IsTrue()) {
    Local<v8::String> text;
    if (v8::String::NewFromUtf8(isolate, data.get(), v8::NewStringType::kNormal, static_cast<int>(size)).ToLocal(&text))
      args.GetReturnValue().Set(text);
    return;
  }
  Local<v8::Object> buffer;
  if (node::Buffer::Copy(isolate, data.get(), size).ToLocal(&buffer))
    args.GetReturnValue().Set(buffer);
}

// existsCached(path): 1 if there is such a path, 0 if not, -1 if only a disk could tell
void ExistsCached(const FunctionCallbackInfo<Value>& args) {
  Path path(args.GetIsolate(), args[0]);
  int32_t answer = kUnknown;
  if (path.get() != nullptr) {
    Descriptor place(path.get(), O_PATH);
    if (place >= 0) answer = 1;
    else if (errno == ENOENT || errno == ENOTDIR) answer = 0;
  }
  args.GetReturnValue().Set(answer);
}

// readNow(fd, bytes, offset, length, position): how many bytes of a regular file were read, from its current position if
// that is -1; -1 if nothing can be read without waiting
void ReadDescriptorNow(const FunctionCallbackInfo<Value>& args) {
  const int fd = args[0].As<Integer>()->Value();
  Local<v8::ArrayBufferView> view = args[1].As<v8::ArrayBufferView>();
  const auto offset = static_cast<size_t>(args[2].As<v8::Number>()->Value());
  const auto length = static_cast<size_t>(args[3].As<v8::Number>()->Value());
  const auto position = static_cast<int64_t>(args[4].As<v8::Number>()->Value());
  struct stat status;
  int32_t answer = kUnknown;
  if (length <= kLargest && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    auto* data = static_cast<char*>(view->Buffer()->Data()) + view->ByteOffset() + offset;
    const ssize_t read = ReadNow(fd, data, length, position);
    if (read >= 0) answer = static_cast<int32_t>(read);
  }
  args.GetReturnValue().Set(answer);
}

#else  // only Linux can tell

void ReadCached(const FunctionCallbackInfo<Value>&) {}
void ExistsCached(const FunctionCallbackInfo<Value>& args) { args.GetReturnValue().Set(kUnknown); }
void ReadDescriptorNow(const FunctionCallbackInfo<Value>& args) { args.GetReturnValue().Set(kUnknown); }

#endif

bool Export(Local<v8::Context> context, Local<v8::Object> exports, const char* name, v8::FunctionCallback callback) {
  Isolate* isolate = Isolate::GetCurrent();
  Local<v8::String> key;
  Local<v8::Function> function;
  return v8::String::NewFromUtf8(isolate, name).ToLocal(&key) &&
         v8::Function::New(context, callback).ToLocal(&function) &&
         exports->Set(context, key, function).FromMaybe(false);
}

}  // namespace

bool ExportCachedFiles(Local<v8::Context> context, Local<v8::Object> exports) {
  return Export(context, exports, "readCached", ReadCached) && Export(context, exports, "existsCached", ExistsCached) &&
         Export(context, exports, "readNow", ReadDescriptorNow);
}

}  // namespace runtime
