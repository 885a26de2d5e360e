#include "file_jobs.h"

#include <uv.h>

#include <algorithm>
#include <cstdlib>

#if !defined(_WIN32)
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace runtime {

namespace {

// More than this goes in pieces, by Node's own functions: a thread of the pool serves others, too, and a fiber that is
// killed should not leave it at work for long.
constexpr size_t kLargest = 4 * 1024 * 1024;
constexpr size_t kPiece = 64 * 1024;

// One of libuv's calls, made right here.
class Request {
 public:
  ~Request() { uv_fs_req_cleanup(&request_); }
  operator uv_fs_t*() { return &request_; }
  const uv_stat_t& status() const { return request_.statbuf; }

 private:
  uv_fs_t request_{};
};

class File {
 public:
  File(const std::string& path, int flags, int mode) {
    Request request;
    fd_ = uv_fs_open(nullptr, request, path.c_str(), flags, mode, nullptr);
  }
  ~File() { Close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  operator int() const { return fd_; }
  int Close() {
    if (fd_ < 0) return 0;
    Request request;
    const int result = uv_fs_close(nullptr, request, fd_, nullptr);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

// Whether it is there and no plain file: opening it, or reading it, may wait for somebody.
bool IsSpecial(const std::string& path) {
  Request request;
  return uv_fs_stat(nullptr, request, path.c_str(), nullptr) == 0 && (request.status().st_mode & S_IFMT) != S_IFREG;
}

#if !defined(_WIN32)

// Makes one directory, if it is not there yet. `first` gets it if it is the first that was made.
bool MakeDirectory(const std::string& path, mode_t mode, std::string* first) {
  if (mkdir(path.c_str(), mode) == 0) {
    if (first->empty()) *first = path;
    return true;
  }
  struct stat status;
  return errno == EEXIST && stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// The same, and those above it that are missing.
bool MakeDirectories(const std::string& path, mode_t mode, std::string* first) {
  if (MakeDirectory(path, mode, first)) return true;
  const size_t slash = path.rfind('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0) return false;
  return MakeDirectories(path.substr(0, slash), mode, first) && MakeDirectory(path, mode, first);
}

class Directory {
 public:
  // Not through a link: whoever may write to the directory above could put one there meanwhile.
  Directory(int at, const char* name) {
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (directory_ = fdopendir(fd)) == nullptr) close(fd);
  }
  ~Directory() {
    if (directory_ != nullptr) closedir(directory_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  bool ok() const { return directory_ != nullptr; }
  int fd() const { return dirfd(directory_); }
  // The next entry's name; null at the end, with errno set if it failed.
  const char* Next() {
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(directory_);
      if (entry == nullptr) return nullptr;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") return entry->d_name;
    }
  }

 private:
  DIR* directory_ = nullptr;
};

bool Remove(int at, const char* name, bool recursive, const std::atomic<bool>& cancelled) {
  if (unlinkat(at, name, 0) == 0) return true;
  if (!recursive || (errno != EISDIR && errno != EPERM)) return false;
  {
    Directory directory(at, name);
    if (!directory.ok()) return false;
    while (const char* entry = directory.Next())
      if (cancelled || !Remove(directory.fd(), entry, true, cancelled)) return false;
    if (errno != 0) return false;
  }
  return unlinkat(at, name, AT_REMOVEDIR) == 0;
}

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return path.substr(0, std::max<size_t>(slash, 1));
}

bool CopyFile(const std::string& from, const std::string& to, mode_t mode) {
  Request request;
  return uv_fs_copyfile(nullptr, request, from.c_str(), to.c_str(), 0, nullptr) == 0 &&
         chmod(to.c_str(), mode & 07777) == 0;
}

// Copies plain files and directories to where there is nothing yet.
bool CopyTree(const std::string& from, const std::string& to, const std::atomic<bool>& cancelled) {
  struct stat status;
  if (cancelled || lstat(from.c_str(), &status) != 0) return false;
  if (S_ISREG(status.st_mode)) return CopyFile(from, to, status.st_mode);
  if (!S_ISDIR(status.st_mode) || mkdir(to.c_str(), 0777) != 0) return false;
  Directory directory(AT_FDCWD, from.c_str());
  if (!directory.ok()) return false;
  while (const char* entry = directory.Next())
    if (!CopyTree(from + '/' + entry, to + '/' + entry, cancelled)) return false;
  return errno == 0 && chmod(to.c_str(), status.st_mode & 07777) == 0;
}

// Whether `path`, which is absolute, lies in that directory.
bool IsBelow(std::string path, const struct stat& directory) {
  struct stat status;
  do {
    path = Parent(path);
    if (stat(path.c_str(), &status) == 0 && status.st_dev == directory.st_dev && status.st_ino == directory.st_ino)
      return true;
  } while (path.size() > 1);
  return false;
}

bool Copy(const std::string& from, const std::string& to, bool recursive, const std::atomic<bool>& cancelled) {
  struct stat source, target;
  std::string first;
  if (lstat(from.c_str(), &source) != 0) return false;
  if (S_ISDIR(source.st_mode) && (!recursive || IsBelow(to, source))) return false;
  if (lstat(to.c_str(), &target) == 0) {
    const bool same = target.st_dev == source.st_dev && target.st_ino == source.st_ino;
    if (same || !S_ISREG(source.st_mode) || !S_ISREG(target.st_mode) || unlink(to.c_str()) != 0) return false;
  } else if (errno != ENOENT || !MakeDirectories(Parent(to), 0777, &first)) {
    return false;
  }
  return CopyTree(from, to, cancelled);
}

#endif

}  // namespace

FileJob::~FileJob() { free(bytes); }

bool FileJob::Fail(int code, const char* at, bool has_path) {
  done = true;
  error = code;
  syscall = at;
  error_has_path = has_path;
  return false;
}

void FileJob::Read() {
  if ((special = IsSpecial(path))) return;
  File file(path, UV_FS_O_RDONLY, 0);
  if (file < 0) {
    Fail(file, "open", true);
    return;
  }
  Request request;
  const int unknown = uv_fs_fstat(nullptr, request, file, nullptr);
  if (unknown < 0) {
    Fail(unknown, "fstat");
    return;
  }
  const uint64_t expected = request.status().st_size;
  if ((request.status().st_mode & S_IFMT) != S_IFREG || expected > kLargest) return;
  // What the system makes up as it is read has no size beforehand.
  size_t room = expected > 0 ? static_cast<size_t>(expected) : kPiece;
  for (;;) {
    if (bytes == nullptr || size == room) {
      if (bytes != nullptr && expected > 0) break;
      if (bytes != nullptr) room *= 2;
      if (room > kLargest) return;
      char* larger = static_cast<char*>(realloc(bytes, room));
      if (larger == nullptr) return;
      bytes = larger;
    }
    Request piece;
    uv_buf_t buffer = uv_buf_init(bytes + size, static_cast<unsigned>(room - size));
    const int count = uv_fs_read(nullptr, piece, file, &buffer, 1, -1, nullptr);
    if (count < 0) {
      Fail(count, "read");
      return;
    }
    if (count == 0) break;
    size += static_cast<size_t>(count);
    if (cancelled) return;
  }
  const int closed = file.Close();
  if (closed < 0) Fail(closed, "close");
  else done = true;
}

void FileJob::Write() {
  if ((special = IsSpecial(path))) return;
  File file(path, flags, mode);
  if (file < 0) {
    Fail(file, "open", true);
    return;
  }
  for (size_t written = 0; written < data.size();) {
    Request request;
    uv_buf_t rest = uv_buf_init(&data[written], static_cast<unsigned>(data.size() - written));
    const int count = uv_fs_write(nullptr, request, file, &rest, 1, -1, nullptr);
    if (count < 0) {
      Fail(count, "write");
      return;
    }
    written += static_cast<size_t>(count);
  }
  const int closed = file.Close();
  if (closed < 0) Fail(closed, "close");
  else done = true;
}

void FileJob::Run() {
  switch (kind) {
    case kRead:
      return Read();
    case kWrite:
      return Write();
#if !defined(_WIN32)
    case kMakeDirectories:
      done = MakeDirectories(path, static_cast<mode_t>(mode), &first);
      return;
    case kRemove:
      done = Remove(AT_FDCWD, path.c_str(), (flags & kRecursive) != 0, cancelled);
      return;
    case kCopy:
      done = Copy(path, data, (flags & kRecursive) != 0, cancelled);
      return;
#endif
    default:
      return;
  }
}

}  // namespace runtime
