// The membrane between blocking code and asynchronous objects: what leaves them is wrapped, what enters is unwrapped.
import { promisify } from "node:util";
import { Hidden } from "../hidden";
import { type Callable, isClient, isObject, isThenable } from "./client";
import { argumentsOf, createProxy, isBlocking } from "./proxy";
import { type Late, settle, settleCallback } from "./settle";

/** How the calls through a membrane block. */
export interface Behaviour extends Late {
  /** Whether `target`'s method of that name is given a callback; without a name, whether `target` itself is. */
  takesCallback(target: object, name?: PropertyKey): boolean;
}

/** The proxies of one raw object: of each membrane that it has gone through. */
interface Shown {
  readonly membrane: Membrane;
  readonly proxy: object;
  readonly others: Shown | undefined;
}

const shown = new Hidden<object, Shown>();

export class Membrane {
  readonly behaviour: Behaviour;

  constructor(behaviour: Behaviour) {
    this.behaviour = behaviour;
  }

  /** The proxy of `raw`: the same one each time. */
  proxy(raw: object): object {
    let proxy = this.#existing(raw);
    if (proxy === undefined) {
      proxy = createProxy(raw, this, this.behaviour.takesCallback(raw));
      shown.set(raw, { membrane: this, proxy, others: shown.get(raw) });
    }
    return proxy;
  }

  #existing(raw: object): object | undefined {
    let one = shown.get(raw);
    while (one !== undefined && one.membrane !== this) one = one.others;
    return one?.proxy;
  }

  /** What is handed out for a value of the raw side: the proxy of a client, anything else as it is. */
  wrap(value: unknown): unknown {
    if (!isObject(value) || isBlocking(value)) return value;
    return this.#existing(value) ?? (isClient(value) ? this.proxy(value) : value);
  }

  /** The same for what a call brings; if that is an array of clients, an array of their proxies. */
  #wrapResult(value: unknown): unknown {
    return Array.isArray(value) && isClient(value[0]) ? value.map((element) => this.wrap(element)) : this.wrap(value);
  }

  /** Calls a function of the raw side, and blocks until its outcome is there. */
  call(fn: Callable, self: unknown, args: unknown[], takesCallback: boolean): unknown {
    const inner = argumentsOf(args);
    const promising = promiseForm(fn);
    if (promising === null && takesCallback) {
      return this.#wrapResult(settleCallback(fn, self, inner, this.behaviour));
    }
    const result = Reflect.apply(promising ?? fn, self, inner);
    return this.#wrapResult(isThenable(result) ? settle(result, this.behaviour) : result);
  }
}

const promiseForms = new WeakMap<Callable, Callable | null>();

/** What util.promisify makes of a function that tells it what to make. */
function promiseForm(fn: Callable): Callable | null {
  let form = promiseForms.get(fn);
  if (form === undefined) {
    const instructs = Object.getOwnPropertySymbols(fn).some(
      // The second is how Node marks its functions with several results (dns.lookup, fs.read), and no public symbol.
      (symbol) => symbol === promisify.custom || symbol.description === "customPromisifyArgs",
    );
    promiseForms.set(fn, (form = instructs ? (promisify(fn) as Callable) : null));
  }
  return form;
}
