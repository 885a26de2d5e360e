// Root certificates: tls.createSecureContext, setDefaultCACertificates, getCACertificates.
//
// From Node 22 on they are kept in thread-local variables (from 24 on, those that Node brings, too), of which each fiber has
// its own, while what frees them is registered with the environment: the second fiber (or the hub, after a fiber) that
// loads them aborts the process; and what one sets as the default, others do not see, which also aborts it. So it is
// always the hub that does. (Among Node's thread-local variables, the symbols of type TLS in its binary, they are the only
// ones that outlive a call.)
import Module = require("node:module");

import { beforeFirstFiber, current, onHub } from "../coroutine";
import { replace } from "../disguise";

const KEPT_BY_THREAD_SINCE = 22;
const users = ["createSecureContext", "setDefaultCACertificates", "getCACertificates"]; // as far as there are

export function guardTls(): void {
  if (Number.parseInt(process.versions.node, 10) < KEPT_BY_THREAD_SINCE || !process.versions.openssl) return;
  beforeFirstFiber(() => {
    const tls = require("node:tls") as typeof import("node:tls");
    for (const name of users) {
      replace(
        tls,
        name,
        (load) =>
          (...args) =>
            current === null ? load(...args) : onHub(() => load(...args)),
      );
    }
    Module.syncBuiltinESMExports(); // connect and servers call them by these names, too
  });
}
