// fetchSync: fetch in blocking style, and its responses' bodies.
import { block, refusal, withFiberStack } from "../runtime/block";
import { isLoaded } from "../runtime/builtins";
import { canBlock } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { Hidden } from "../runtime/hidden";
import { fetchParked, isParkedResponse, readParked } from "./parked/response";
import type { Define, ModulePatch } from "./patching";

declare global {
  /**
   * `fetch` in blocking style: suspends the fiber until there is a response. Arguments as for `fetch`. When the fiber is
   * killed, the request is aborted, and so it is when it is killed while it reads the body.
   *
   * Out of a fiber the thread sleeps meanwhile, and whenever the body is read. There, `init.signal` that is not aborted,
   * a stream or a Request with a body, and a dispatcher are refused: ERR_NOT_IN_FIBER.
   * @throws what fetch's promise is rejected with: a TypeError "fetch failed" with the reason as its `cause`, an
   *   AbortError when `init.signal` is aborted, a TimeoutError
   */
  function fetchSync(input: string | URL | Request, init?: RequestInit): Response;
  interface Response {
    /**
     * The body in blocking style, as the method without "Sync" would bring it. These methods are there from the first
     * call of `fetchSync` on; at once, if something has used `Response` before the patch.
     * @throws what that method's promise is rejected with; ERR_NOT_IN_FIBER out of a fiber, unless `fetchSync` was called
     *   there
     */
    textSync(): string;
    // biome-ignore lint/suspicious/noExplicitAny: JSON is any value
    jsonSync(): any;
    arrayBufferSync(): ArrayBuffer;
    blobSync(): Blob;
    formDataSync(): FormData;
    /** Where Node has `Response#bytes`. */
    bytesSync(): Uint8Array;
  }
}

const bodies = ["text", "json", "arrayBuffer", "blob", "formData", "bytes"] as const;

/** What aborts the request that a response is the answer to. */
const controllers = new Hidden<Response, AbortController>();

function fetchInFiber(input: string | URL | Request, init: RequestInit | undefined, entry: AnyFunction): Response {
  const controller = new AbortController();
  const given = init?.signal ?? (input instanceof Request ? input.signal : null);
  const signal = given ? AbortSignal.any([controller.signal, given]) : controller.signal;
  const response = settled(() => fetch(input, { ...init, signal }), controller, entry);
  controllers.set(response, controller);
  return response;
}

/** The outcome of a promise. If the fiber is killed before, the request is aborted. */
function settled<T>(start: () => Promise<T>, controller: AbortController | undefined, entry: AnyFunction): T {
  try {
    return block<T>((waiter) => {
      waiter.follow(start());
      return () => controller?.abort();
    });
  } catch (error) {
    throw withFiberStack(error, entry);
  }
}

function addBodies(define: Define): void {
  for (const name of bodies) {
    const read = Response.prototype[name as "text"] as (() => Promise<unknown>) | undefined;
    if (read === undefined) continue; // not in this version of Node
    const added = {
      [`${name}Sync`](this: Response): unknown {
        if (isParkedResponse(this)) return readParked[name]?.(this);
        if (!canBlock()) throw refusal();
        return settled(() => read.call(this), controllers.get(this), added as AnyFunction);
      },
    }[`${name}Sync`];
    define.add(Response.prototype, `${name}Sync`, added as AnyFunction);
  }
}

export const fetchPatch: ModulePatch = {
  name: "fetch",
  apply(define) {
    let complete = isLoaded("internal/deps/undici/undici"); // as nothing here is to load it
    if (complete) addBodies(define);
    define.add(globalThis, "fetchSync", function fetchSync(input: string | URL | Request, init?: RequestInit) {
      if (!complete) addBodies(define);
      complete = true;
      if (!canBlock()) return fetchParked(input, init);
      return fetchInFiber(input, init, fetchSync as AnyFunction);
    });
  },
};
