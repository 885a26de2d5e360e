// Compiled by test/runtime/blocking-types.test.ts, never run: what the types of blocking() and asAsync() say.
import * as child_process from "node:child_process";
import { EventEmitter } from "node:events";
import { readFile } from "node:fs";
import * as fsp from "node:fs/promises";
import { asAsync, type Blocking, blocking } from "runtime";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_proof: Same<A, B>) => {};

interface Row {
  id: number;
  at: Date;
}

declare class Transaction {
  commit(): Promise<void>;
}

declare class Client {
  private secret: string;
  static connect(url: string): Promise<Client>;
  constructor(url: string);
  readonly ready: Promise<boolean>;
  readonly inner: Transaction;
  query(text: string, values?: unknown[]): Promise<{ rows: Row[] }>;
  begin(): Promise<Transaction>;
  all(): Promise<Transaction[]>;
  created(): Promise<[Transaction, boolean]>;
  ids(): Promise<readonly number[]>;
  count(): number;
  self(): this;
  // biome-ignore lint/suspicious/noExplicitAny: that is the point
  anything(): any;
  find(id: number): Promise<Row | undefined>;
  find(name: string): Promise<Row[]>;
  select<R extends object, V = unknown[]>(text: string, values?: V extends unknown[] ? V : never): Promise<R[]>;
  rows(): AsyncGenerator<Row>;
  adopt(other: Client): Promise<boolean>;
  update(id: number, options: { transaction?: Transaction; at: Date }): Promise<boolean>;
  on(event: string, listener: (value: number) => void): void;
}

const client = blocking(new Client("url"));
same<typeof client, Blocking<Client>>(true);

// The values of promises, and of calls that return none.
same<ReturnType<typeof client.query>, { rows: Row[] }>(true);
same<ReturnType<typeof client.count>, number>(true);
// biome-ignore lint/suspicious/noExplicitAny: that is the point
same<ReturnType<typeof client.anything>, any>(true);
same<Parameters<typeof client.query>, [text: string, values?: unknown[]]>(true);

// Clients are blocking, in results and properties; promises in properties are promises.
client.begin().commit() satisfies void;
client.inner.commit() satisfies void;
for (const transaction of client.all()) transaction.commit() satisfies void;
client.created()[0].commit() satisfies void;
client.created()[1] satisfies boolean;
same<ReturnType<typeof client.ids>, readonly number[]>(true);
client.self().begin().commit();
same<typeof client.ready, Promise<boolean>>(true);

// Overloads.
client.find(1) satisfies Row | undefined;
client.find("name") satisfies Row[];

// Type parameters are lost, and do not refuse arguments.
client.select("text", [1]) satisfies object[];

// Proxies as arguments; listeners know their parameters.
client.adopt(client) satisfies boolean;
client.adopt(new Client("url")) satisfies boolean;
client.update(1, { transaction: client.begin(), at: new Date() }) satisfies boolean;
// @ts-expect-error: not of that kind
client.update(1, { transaction: client, at: new Date() });
client.on("event", (value) => value.toFixed());

// Iteration.
for (const row of client.rows()) row.id satisfies number;

// Functions and classes.
const Class = blocking(Client);
new Class("url").begin().commit();
Class.connect("url").count() satisfies number;
blocking(async (n: number) => `${n}`)(5) satisfies string;
blocking(child_process.exec)("ls").stdout satisfies string;
const fs = blocking(fsp);
fs.open("file").stat() satisfies { size: number };
// @ts-expect-error: a promise no longer
client.query("select").then;

// Callbacks.
declare class Legacy extends EventEmitter {
  query(text: string, callback?: (error: Error | null, rows: Row[]) => void): object;
  end(callback: (error?: Error) => void): void;
  count(): number;
}
blocking(readFile, { callbacks: true })("file") satisfies Buffer;
const legacy = blocking({} as Legacy, { callbacks: ["query", "end"] });
legacy.query("select") satisfies Row[];
legacy.end() satisfies void | undefined;
legacy.count() satisfies number;
blocking({} as Legacy, { callbacks: true }).query("select") satisfies Row[];
blocking({} as Legacy, { callbacks: true }).on("event", (value) => value);

// asAsync.
asAsync((a: string, b?: number) => a.length + (b ?? 0)) satisfies (a: string, b?: number) => Promise<number>;
asAsync(async () => 5) satisfies () => Promise<number>;
