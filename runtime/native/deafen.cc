#include "deafen.h"

#if defined(__linux__)
#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>
#endif

namespace runtime {

using v8::FunctionCallbackInfo;
using v8::Value;

#if defined(__linux__)

// A filter sees a TCP segment from its header on, and drops it by keeping none of it. With SYN set it is the first of a
// handshake, which its sender will repeat. The handshake's last has none, so those that are under way come to their end; nor
// do others of a connection, which inherits the filter from the socket that it was made at.
void Deafen(const FunctionCallbackInfo<Value>& args) {
  constexpr uint32_t kFlags = 13;
  constexpr uint32_t kSyn = 0x02;
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog filter{sizeof(instructions) / sizeof(*instructions), instructions};
  const int fd = args[0].As<v8::Int32>()->Value();
  const bool done = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0;
  args.GetReturnValue().Set(done ? 0 : -errno);
}

#else

void Deafen(const FunctionCallbackInfo<Value>&) {}

#endif

}  // namespace runtime
