// Files as far as the system can answer without waiting for a disk or a network: "suspends whenever it would block" is
// the promise, so when it would not, there is no need to.
#pragma once

#include <node.h>

namespace runtime {

// Adds readCached, existsCached and readNow to `exports`. False if an exception is on its way.
bool ExportCachedFiles(v8::Local<v8::Context> context, v8::Local<v8::Object> exports);

}  // namespace runtime
