// What the types of offload(), ThreadPool and threaded() say; read by blocking-types.test.ts, never run.
import { type AsyncResult, offload, ThreadPool, threaded } from "runtime";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function check<_ extends true>(): void {}

const sum = offload((a: number, b: number) => a + b, 1, 2);
check<Equal<typeof sum, number>>();
const later = offload(async (text: string) => text.length, "x");
check<Equal<typeof later, number>>();
// @ts-expect-error the second argument is to be a number
offload((a: number, b: number) => a + b, 1, "2");
const asserted = offload<string>(new URL("file:///x.js"), [1], {
  name: "scale",
  onProgress: (done: number) => void done,
});
check<Equal<typeof asserted, string>>();
// @ts-expect-error arguments of a module's function are an array
offload("/x.js", 1);

const pool = new ThreadPool({
  min: 1,
  max: 2,
  idleTimeout: 100,
  maxQueue: 10,
  resourceLimits: { maxOldGenerationSizeMb: 100 },
});
const spawned = pool.spawn((n: number) => n > 1, 1);
check<Equal<typeof spawned, AsyncResult<boolean>>>();
const lengths = pool.map(async (text: string) => text.length, ["a"]);
check<Equal<typeof lengths, number[]>>();
for (const length of pool.imapUnordered((text: string) => text.length, ["a"], { maxSize: 2 }))
  check<Equal<typeof length, number>>();
// @ts-expect-error a list to be moved makes no sense for many items
pool.map("/x.js", [1], { transfer: [] });

interface Statement {
  get(id: number): { id: number } | undefined;
  iterate(): IterableIterator<number>;
}
interface Library {
  open(name: string): Promise<{ prepare(sql: string): Statement }>;
}
using library = threaded<Library>("/library.js");
const statement = library.open("x").prepare("select");
const row = statement.get(1);
check<Equal<typeof row, { id: number } | undefined>>();
for (const value of statement.iterate()) check<Equal<typeof value, number>>();
