// Work on whole files that takes several system calls, each as one job for a thread of libuv's pool. Nothing here knows of
// JavaScript.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace runtime {

struct FileJob {
  enum Kind : int32_t { kRead, kWrite, kMakeDirectories, kRemove, kCopy };
  enum Flags : int32_t { kRecursive = 1 };

  Kind kind;
  std::string path;
  std::string data;  // what to write; where to copy to
  int flags = 0;     // to open it with; or those above
  int mode = 0;
  std::atomic<bool> cancelled{false};

  // The outcome. What is not done here, for whatever reason, is for Node's own functions to do, or to report.
  bool done = false;
  bool special = false;  // because it is there and no plain file: opening it may wait for somebody
  int error = 0;  // libuv's; then this, and where it happened, is the outcome
  const char* syscall = nullptr;
  bool error_has_path = false;
  char* bytes = nullptr;  // what was read, from malloc
  size_t size = 0;
  std::string first;  // the first directory that was made

  ~FileJob();
  void Run();

 private:
  void Read();
  void Write();
  bool Fail(int error, const char* at, bool has_path = false);
};

}  // namespace runtime
