// Where a function comes from.
#pragma once

#include <node.h>

namespace runtime {

// What JavaScript calls by the names scriptOf and scriptName.
void ScriptOf(const v8::FunctionCallbackInfo<v8::Value>& args);
void ScriptName(const v8::FunctionCallbackInfo<v8::Value>& args);

}  // namespace runtime
