// Files as far as the system can answer without waiting for a disk or a network: "suspends whenever it would block" is
// the promise, so when it would not, there is no need to.
#pragma once

#include <node.h>

namespace runtime {

// What JavaScript calls by the names readCached, existsCached and readNow.
void ReadCached(const v8::FunctionCallbackInfo<v8::Value>& args);
void ExistsCached(const v8::FunctionCallbackInfo<v8::Value>& args);
void ReadDescriptorNow(const v8::FunctionCallbackInfo<v8::Value>& args);

}  // namespace runtime
