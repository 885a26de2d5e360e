// Reading from descriptors, and writing to them, as much as can be done without waiting. See switch.ts for all of these.
#pragma once

#include <node.h>

namespace runtime {

void Transfer(const v8::FunctionCallbackInfo<v8::Value>& args);
void Receive(const v8::FunctionCallbackInfo<v8::Value>& args);
void Send(const v8::FunctionCallbackInfo<v8::Value>& args);

}  // namespace runtime
