// A listening socket that hears of nobody new. See switch.ts.
#pragma once

#include <node.h>

namespace runtime {

void Deafen(const v8::FunctionCallbackInfo<v8::Value>& args);

}  // namespace runtime
