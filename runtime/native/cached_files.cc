#include "cached_files.h"

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

using v8::FunctionCallbackInfo;
using v8::Integer;
using v8::Isolate;
using v8::Local;
using v8::Value;

namespace {

// Answers of existsCached and readNow beside those that they are asked for.
constexpr int32_t kUnknown = -1;

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

char* DataOf(Local<v8::ArrayBufferView> view) {
  return static_cast<char*>(view->Buffer()->Data()) + view->ByteOffset();
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

}  // namespace

// readCached(path, bytes, text): puts the contents into `bytes`, and returns their length, or what they are as UTF-8 text;
// undefined if they are not to be had without waiting, in whatever way, or with one byte more do not fit
void ReadCached(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Path path(isolate, args[0]);
  if (path.get() == nullptr) return;
  // First without opening it: that would wake the writer of a fifo, or rewind a tape.
  Descriptor place(path.get(), O_PATH);
  struct stat status;
  if (place < 0 || fstat(place, &status) != 0 || !S_ISREG(status.st_mode)) return;
  Local<v8::ArrayBufferView> bytes = args[1].As<v8::ArrayBufferView>();
  const auto size = static_cast<size_t>(status.st_size);
  if (size >= bytes->ByteLength() || !IsLocal(place, status)) return;
  Descriptor file(path.get(), O_RDONLY | O_NONBLOCK);
  if (file < 0) return;
  char* const data = DataOf(bytes);
  // One more, to see whether it ends there.
  if (ReadNow(file, data, size + 1, 0) != status.st_size) return;
  if (!args[2]->IsTrue()) {
    args.GetReturnValue().Set(static_cast<uint32_t>(size));
    return;
  }
  Local<v8::String> text;
  if (v8::String::NewFromUtf8(isolate, data, v8::NewStringType::kNormal, static_cast<int>(size)).ToLocal(&text))
    args.GetReturnValue().Set(text);
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

// readNow(fd, bytes, offset, length, position): how many bytes of a regular file were read up to `length` or its end, from
// its current position if that is -1; -1 - n if only n could be read without waiting
void ReadDescriptorNow(const FunctionCallbackInfo<Value>& args) {
  const int fd = args[0].As<Integer>()->Value();
  Local<v8::ArrayBufferView> view = args[1].As<v8::ArrayBufferView>();
  const auto offset = static_cast<size_t>(args[2].As<v8::Number>()->Value());
  const auto length = static_cast<size_t>(args[3].As<v8::Number>()->Value());
  const auto position = static_cast<int64_t>(args[4].As<v8::Number>()->Value());
  struct stat status;
  size_t done = 0;
  ssize_t read = kUnknown;
  if (length <= kLargest && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    char* const data = DataOf(view) + offset;
    do {
      read = ReadNow(fd, data + done, length - done, position < 0 ? -1 : position + static_cast<int64_t>(done));
      if (read > 0) done += static_cast<size_t>(read);
    } while (read > 0 && done < length);
  }
  const auto count = static_cast<int32_t>(done);
  args.GetReturnValue().Set(read < 0 ? -1 - count : count);
}

#else  // only Linux can tell

}  // namespace

void ReadCached(const FunctionCallbackInfo<Value>&) {}
void ExistsCached(const FunctionCallbackInfo<Value>& args) { args.GetReturnValue().Set(kUnknown); }
void ReadDescriptorNow(const FunctionCallbackInfo<Value>& args) { args.GetReturnValue().Set(kUnknown); }

#endif

}  // namespace runtime
