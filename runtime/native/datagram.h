// Single datagrams, from a socket and to it. See switch.ts for both.
#pragma once

#include <node.h>

namespace runtime {

void ReceiveFrom(const v8::FunctionCallbackInfo<v8::Value>& args);
void SendTo(const v8::FunctionCallbackInfo<v8::Value>& args);

}  // namespace runtime
