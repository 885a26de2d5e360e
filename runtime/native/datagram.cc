#include "datagram.h"

#if defined(__linux__)
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <node_buffer.h>
#include <poll.h>
#include <sys/socket.h>
#include <uv.h>

#include <string>
#endif

namespace runtime {

using v8::Context;
using v8::FunctionCallbackInfo;
using v8::Isolate;
using v8::Local;
using v8::Value;

#if defined(__linux__)

namespace {

// As Node writes it: with the interface where the address means something on one link only.
std::string AddressOf(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  if (from.ss_family == AF_INET) {
    uv_ip4_name(reinterpret_cast<const sockaddr_in*>(&from), text, sizeof text);
    return text;
  }
  const auto& from6 = reinterpret_cast<const sockaddr_in6&>(from);
  uv_ip6_name(&from6, text, sizeof text);
  char interface[UV_IF_NAMESIZE];
  size_t size = sizeof interface;
  if (!IN6_IS_ADDR_LINKLOCAL(&from6.sin6_addr) || from6.sin6_scope_id == 0 ||
      uv_if_indextoiid(from6.sin6_scope_id, interface, &size) != 0)
    return text;
  return std::string(text) + '%' + interface;
}

in_port_t PortOf(const sockaddr_storage& from) {
  const in_port_t port = from.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(from).sin_port
                                                   : reinterpret_cast<const sockaddr_in6&>(from).sin6_port;
  return ntohs(port);
}

// 0, or an error's negative number.
int ParseAddress(const char* ip, int port, bool ipv6, sockaddr_storage* to) {
  return ipv6 ? uv_ip6_addr(ip, port, reinterpret_cast<sockaddr_in6*>(to))
              : uv_ip4_addr(ip, port, reinterpret_cast<sockaddr_in*>(to));
}

}  // namespace

void ReceiveFrom(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  Local<Context> context = isolate->GetCurrentContext();
  const int fd = args[0].As<v8::Int32>()->Value();
  pollfd one{fd, POLLIN, 0};
  poll(&one, 1, args[3].As<v8::Int32>()->Value());  // whatever comes of it, the next call tells
  iovec room{node::Buffer::Data(args[1]), node::Buffer::Length(args[1])};
  sockaddr_storage from{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &room;
  message.msg_iovlen = 1;
  const ssize_t count = recvmsg(fd, &message, MSG_DONTWAIT);
  if (count < 0) return args.GetReturnValue().Set(-errno);
  const std::string address = AddressOf(from);
  Local<v8::String> text;
  if (!v8::String::NewFromUtf8(isolate, address.c_str()).ToLocal(&text)) return;
  Local<v8::Array> sender = args[2].As<v8::Array>();
  if (sender->Set(context, 0, text).IsNothing()) return;
  if (sender->Set(context, 1, v8::Integer::New(isolate, PortOf(from))).IsNothing()) return;
  args.GetReturnValue().Set(static_cast<int32_t>(count));
}

void SendTo(const FunctionCallbackInfo<Value>& args) {
  Isolate* isolate = args.GetIsolate();
  iovec bytes{node::Buffer::Data(args[1]), node::Buffer::Length(args[1])};
  sockaddr_storage to{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (args[2]->IsString()) {
    const bool ipv6 = args[4]->IsTrue();
    const v8::String::Utf8Value ip(isolate, args[2]);
    const int error = ParseAddress(*ip, args[3].As<v8::Int32>()->Value(), ipv6, &to);
    if (error != 0) return args.GetReturnValue().Set(error);
    message.msg_name = &to;
    message.msg_namelen = ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  }
  const ssize_t count = sendmsg(args[0].As<v8::Int32>()->Value(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  args.GetReturnValue().Set(static_cast<int32_t>(count < 0 ? -errno : count));
}

#else  // elsewhere they are for fibers, and for Node's own sockets

void ReceiveFrom(const FunctionCallbackInfo<Value>&) {}
void SendTo(const FunctionCallbackInfo<Value>&) {}

#endif

}  // namespace runtime
