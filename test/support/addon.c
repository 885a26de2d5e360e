// A Node-API addon that calls back while it has a handle scope open, as many do.
#define NAPI_VERSION 8
#include <node_api.h>
#include <stddef.h>

static napi_value CallFirst(napi_env env, napi_callback_info info, int constructs) {
  size_t argc = 1;
  napi_value callback, self, result = NULL;
  napi_handle_scope scope;
  napi_get_cb_info(env, info, &argc, &callback, &self, NULL);
  napi_open_handle_scope(env, &scope);
  napi_call_function(env, self, callback, 0, NULL, &result);
  napi_close_handle_scope(env, scope);
  return constructs ? self : NULL;
}

// call(callback)
static napi_value Call(napi_env env, napi_callback_info info) { return CallFirst(env, info, 0); }

// new Caller(callback), and its method call(callback)
static napi_value NewCaller(napi_env env, napi_callback_info info) { return CallFirst(env, info, 1); }

NAPI_MODULE_INIT() {
  napi_value call, caller;
  napi_property_descriptor method = {"call", NULL, Call, NULL, NULL, NULL, napi_default_method, NULL};
  napi_create_function(env, "call", NAPI_AUTO_LENGTH, Call, NULL, &call);
  napi_set_named_property(env, exports, "call", call);
  napi_define_class(env, "Caller", NAPI_AUTO_LENGTH, NewCaller, NULL, 1, &method, &caller);
  napi_set_named_property(env, exports, "Caller", caller);
  return exports;
}
