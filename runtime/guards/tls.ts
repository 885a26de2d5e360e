// tls.createSecureContext.
//
// From Node 24 on, root certificates are kept in thread-local variables, of which each fiber has its own, while what frees
// them is registered with the environment: the second fiber (or the hub, after a fiber) that loads them aborts the process.
// And each would spend the time and the memory again. So it is always the hub that does.
import Module = require("node:module");

import { beforeFirstFiber, current, onHub } from "../coroutine";
import { replace } from "../disguise";

const KEPT_BY_THREAD_SINCE = 24;

export function guardTls(): void {
  if (Number.parseInt(process.versions.node, 10) < KEPT_BY_THREAD_SINCE || !process.versions.openssl) return;
  beforeFirstFiber(() => {
    const tls = require("node:tls") as typeof import("node:tls");
    const guarded = replace(
      tls,
      "createSecureContext",
      (create) =>
        (...args) =>
          current === null ? create(...args) : onHub(() => create(...args)),
    );
    if (guarded) Module.syncBuiltinESMExports(); // connect and servers call it by that name, too
  });
}
