import { createContext, runInContext, runInNewContext, runInThisContext } from "node:vm";
import { sleep, spawn, wait } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

type Suspend = () => void;

// Each calls `suspend` from code that native code, or the language itself, has called.
const places: Record<string, (suspend: Suspend) => unknown> = {
  "Array#sort": (s) => [3, 1, 2].sort((a, b) => (s(), a - b)),
  "Array#map": (s) => [1, 2].map((x) => (s(), x + 1)),
  "Array#reduceRight": (s) => [1, 2, 3].reduceRight((a, b) => (s(), a - b)),
  "Array#flatMap": (s) => [1, 2].flatMap((x) => (s(), [x, x])),
  "Array.from": (s) => Array.from({ length: 3 }, (_, i) => (s(), i)),
  "Array#concat": (s) =>
    [1].concat(Object.create([2], { [Symbol.isConcatSpreadable]: { get: () => (s(), false) } })).length,
  "typed array sort": (s) => [...new Int32Array([3, 1, 2]).sort((a, b) => (s(), a - b))],
  "typed array from": (s) => [...Int8Array.from([1, 2], (x) => (s(), x * 2))],
  "Map#forEach and Set#forEach": (s) => {
    const seen: number[] = [];
    new Map([
      [1, 2],
      [3, 4],
    ]).forEach((value) => {
      s();
      seen.push(value);
    });
    new Set([5]).forEach((value) => {
      s();
      seen.push(value);
    });
    return seen;
  },
  "new Map of an iterable": (s) =>
    new Map(
      (function* () {
        s();
        yield [1, 2] as const;
      })(),
    ).get(1),
  "String#replace": (s) => "aXbXc".replace(/X/g, () => (s(), "-")),
  "String#replaceAll": (s) => "aXbXc".replaceAll("X", () => (s(), "-")),
  "RegExp.exec of one's own": (s) => {
    class Slow extends RegExp {
      override exec(text: string) {
        s();
        return super.exec(text);
      }
    }
    return "a,b,c".split(new Slow(",")).length;
  },
  getter: (s) =>
    ({
      get x() {
        s();
        return 1;
      },
    }).x,
  setter: (s) => {
    const seen: unknown[] = [];
    const object = {
      set x(value: unknown) {
        s();
        seen.push(value);
      },
    };
    object.x = 5;
    Object.assign(object, { x: 6 });
    return seen;
  },
  "spread of a getter": (s) => ({
    ...{
      get x() {
        s();
        return 1;
      },
    },
  }),
  "Proxy traps": (s) => {
    const handler: Record<string, unknown> = {};
    for (const name of Reflect.ownKeys(Reflect).filter((key) => typeof key === "string")) {
      handler[name] = (...args: unknown[]) => (
        s(), (Reflect as never as Record<string, (...a: unknown[]) => unknown>)[name]?.(...args)
      );
    }
    // biome-ignore lint/suspicious/noExplicitAny: any property
    const proxy = new Proxy(function target() {} as any, handler);
    proxy.x = 1;
    return ["x" in proxy, Object.keys(proxy), delete proxy.x, typeof new proxy(), proxy(), Object.isExtensible(proxy)];
  },
  constructor: (s: Suspend) => {
    class Base {
      static first = (s(), 1);
      #own = (s(), 2);
      constructor() {
        s();
      }
      get own() {
        return this.#own;
      }
    }
    class Derived extends Base {
      constructor() {
        s();
        super();
        s();
      }
    }
    return [new Derived().own, Base.first];
  },
  generator: (s) => {
    function* generate() {
      s();
      yield 1;
      try {
        yield (s(), 2);
      } finally {
        s();
      }
    }
    return [...generate()];
  },
  "iterator protocol": (s) => {
    const log: string[] = [];
    const iterable = {
      [Symbol.iterator]: () => ({
        next: () => (s(), { done: false, value: 1 }),
        return: () => (s(), log.push("return"), { done: true, value: undefined }),
      }),
    };
    for (const value of iterable) {
      log.push(`${value}`);
      break;
    }
    const [first] = iterable;
    return [log, first];
  },
  destructuring: (s) => {
    const { a, ...rest } = {
      get a() {
        s();
        return 1;
      },
      get b() {
        s();
        return 2;
      },
    };
    return [a, rest];
  },
  "toString, valueOf, Symbol.toPrimitive": (s) => [
    `${{ toString: () => (s(), "text") }}`,
    1 + Number({ valueOf: () => (s(), 2) }),
    `${{ [Symbol.toPrimitive]: () => (s(), "primitive") }}`,
    Number.parseInt({ toString: () => (s(), "12") } as never, 10),
    BigInt({ valueOf: () => (s(), 3) } as never).toString(),
    Math.max({ valueOf: () => (s(), 4) } as never, 1),
  ],
  instanceof: (s) => ({}) instanceof ({ [Symbol.hasInstance]: () => (s(), true) } as never),
  "JSON.parse": (s) => JSON.parse('{"a":1,"b":[1,2]}', (_, value) => (s(), value)),
  "tagged template": (s) => {
    const tag = (strings: TemplateStringsArray, ...values: unknown[]) => (s(), [strings.raw.length, values]);
    return tag`a${1}b${(s(), 2)}`;
  },
  eval: (s) => new Function("s", "return eval('s(); 5')")(s),
  "new Function": (s) => new Function("s", "s(); return 6")(s),
  "vm, without a timeout": (s) => [
    runInThisContext("(f) => { f(); return 3; }")(s),
    runInNewContext("f(); x = g; [x, typeof y]", {
      f: s,
      get g() {
        s();
        return 4;
      },
    }).join(),
    runInContext("f(); 5", createContext({ f: s })),
  ],
  "Reflect.apply and Reflect.construct": (s) => [
    Reflect.apply((x: number) => (s(), x), null, [1]),
    Reflect.construct(
      class {
        x = (s(), 2);
      },
      [],
    ).x,
  ],
  "Function.prototype.call, apply, bind": (s) => {
    function f(this: { x: number }, y: number) {
      s();
      return this.x + y;
    }
    return [f.call({ x: 1 }, 2), f.apply({ x: 3 }, [4]), f.bind({ x: 5 })(6), f.bind({ x: 7 }, 8).call(null as never)];
  },
  "new Promise": (s) => {
    let ran = 0;
    new Promise<void>((resolve) => {
      s();
      ran++;
      resolve();
    });
    return ran;
  },
  "async function, up to its first await": (s) => {
    let ran = 0;
    (async () => {
      s();
      ran++;
      await null;
    })();
    return ran;
  },
  structuredClone: (s) =>
    structuredClone({
      get a() {
        s();
        return [1];
      },
    }),
  "Intl options": (s) =>
    new Intl.NumberFormat("en", {
      get style() {
        s();
        return "decimal" as const;
      },
    }).format(1),
  EventTarget: (s) => {
    const target = new EventTarget();
    const seen: string[] = [];
    target.addEventListener("event", ({ type }) => (s(), seen.push(type)));
    target.dispatchEvent(new Event("event"));
    return seen;
  },
  "Headers and URLSearchParams of an iterable": (s) => {
    const pairs = function* () {
      s();
      yield ["a", "b"];
    };
    return [[...new Headers(pairs() as never)], new URLSearchParams(pairs() as never).toString()];
  },
  "DataView and Atomics": (s) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setInt8(0, { valueOf: () => (s(), 7) } as never);
    const array = new Int32Array(new SharedArrayBuffer(8));
    Atomics.add(array, 0, { valueOf: () => (s(), 8) } as never);
    return [view.getInt8(0), array[0]];
  },
};

if (!process.versions.v8.startsWith("12.")) {
  places["JSON.stringify"] = (s) =>
    JSON.stringify(
      {
        get a() {
          s();
          return 1;
        },
        b: { toJSON: () => (s(), 2) },
      },
      (_, value) => (s(), value),
    );
}

const names = Object.keys(places);

describeFibers("a fiber may suspend in", () => {
  it.each(names)("%s", async (name) => {
    const place = places[name] as (suspend: Suspend) => unknown;
    const expected = place(() => {});
    expect(await spawn(() => place(() => sleep(1)))).toEqual(expected);
  });
});

// Fibers that come back in another order than they left: what keeps a stack per isolate would mix them up.
describeFibers("many fibers at once, in any order, may be suspended in", () => {
  it.each(names)("%s", async (name) => {
    const place = places[name] as (suspend: Suspend) => unknown;
    const expected = place(() => {});
    const fibers = Array.from({ length: 24 }, (_, i) => spawn(() => place(() => sleep((i * 7) % 5))));
    expect(await Promise.all(fibers)).toEqual(fibers.map(() => expected));
  });

  it("all of these at once", async () => {
    const expected = names.map((name) => places[name]?.(() => {}));
    const fibers = Array.from({ length: 200 }, (_, i) =>
      spawn(() => [i % names.length, places[names[i % names.length] as string]?.(() => sleep((i * 7) % 5))] as const),
    );
    for (const fiber of fibers) {
      const [which, value] = await fiber;
      expect([names[which], value]).toEqual([names[which], expected[which]]);
    }
  });
});

describeFibers("a dynamic import in a fiber", () => {
  it("can be waited for", async () => {
    const file = `data:text/javascript,${encodeURIComponent("await null; export const value = 5;")}`;
    expect(await spawn(() => wait(import(/* @vite-ignore */ file)).value)).toBe(5);
  });
});
