// Root certificates: tls.createSecureContext, setDefaultCACertificates, getCACertificates, and the methods of Node's own object
// in a secure context, which programs call to add certificates to those: `createSecureContext().context.addCACert(pem)`.
//
// From Node 22 on they are kept in thread-local variables (from 24 on, those that Node brings, too), of which each fiber has
// its own, while what frees them is registered with the environment: the second fiber (or the hub, after a fiber) that
// loads them aborts the process; and what one sets as the default, others do not see, which also aborts it. So it is
// always the hub that does. (Among Node's thread-local variables, the symbols of type TLS in its binary, they are the only
// ones that outlive a call.)
import Module = require("node:module");

import { withFiberStack } from "../block";
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
          function loading(...args) {
            return loadOnHub(() => load(...args), loading);
          },
      );
    }
    Module.syncBuiltinESMExports(); // connect and servers call them by these names, too
    guardContexts(tls as never as Tls);
  });
}

function loadOnHub(load: () => unknown, entry: (...args: never[]) => unknown): unknown {
  if (current === null) return load();
  try {
    return onHub(load);
  } catch (error) {
    throw withFiberStack(error, entry);
  }
}

interface Tls {
  readonly SecureContext: new () => { context: object };
}

/** In a handshake there may be no way to the hub, and servers change these keys there. */
const withoutCertificates = /TicketKey/;

function guardContexts(tls: Tls): void {
  const methods = Object.getPrototypeOf(nativeContext(tls)) as object;
  for (const name of Object.getOwnPropertyNames(methods)) {
    if (name === "constructor" || withoutCertificates.test(name)) continue;
    replace(methods, name, (method) => {
      return function calling(this: unknown, ...args) {
        return loadOnHub(() => Reflect.apply(method, this, args), calling);
      };
    });
  }
}

/** Such an object, taken before it is set up: that takes time, and fails where OpenSSL's configuration is wrong. */
function nativeContext(tls: Tls): object {
  let native: object | undefined;
  class Probe extends tls.SecureContext {
    // @ts-expect-error: an accessor in a property's place, which is what the constructor is to meet
    override set context(context: object) {
      native = context;
      throw enough;
    }
  }
  try {
    return new Probe().context;
  } catch (error) {
    if (error !== enough) throw error;
    return native as object;
  }
}

const enough = new Error("enough is known");
