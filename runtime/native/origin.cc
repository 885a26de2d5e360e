#include "origin.h"

namespace runtime {
namespace {

// The function that a bound one calls in the end.
v8::Local<v8::Function> Target(v8::Local<v8::Function> function, bool* bound) {
  for (*bound = false;; *bound = true) {
    v8::Local<v8::Value> target = function->GetBoundFunction();
    if (!target->IsFunction()) return function;
    function = target.As<v8::Function>();
  }
}

}  // namespace

// scriptOf(fn): the number of the script with its code, negative if `fn` is bound; 0 for a function without JavaScript
void ScriptOf(const v8::FunctionCallbackInfo<v8::Value>& args) {
  bool bound;
  const int script = Target(args[0].As<v8::Function>(), &bound)->ScriptId();
  args.GetReturnValue().Set(bound ? -script : script);
}

// scriptName(fn): the name of that script, undefined if it has none
void ScriptName(const v8::FunctionCallbackInfo<v8::Value>& args) {
  bool bound;
  v8::Local<v8::Value> name = Target(args[0].As<v8::Function>(), &bound)->GetScriptOrigin().ResourceName();
  if (!name.IsEmpty()) args.GetReturnValue().Set(name);
}

}  // namespace runtime
