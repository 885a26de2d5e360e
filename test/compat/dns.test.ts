import "runtime/patch";
import dns from "node:dns";
import { Worker } from "node:worker_threads";
import { spawn, withTimeout } from "runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeBoth, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

// A name server: knows the zone "test.", is silent about what begins with "silent.", and denies the rest.
const nameServer = `
const dgram = require("node:dgram");
const { parentPort } = require("node:worker_threads");
const name = (text) => Buffer.concat([...text.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])]);
const u16 = (...values) => { const bytes = Buffer.alloc(values.length * 2); values.forEach((value, at) => bytes.writeUInt16BE(value, at * 2)); return bytes; };
const types = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, NAPTR: 35, CAA: 257 };
const string = (text) => Buffer.from([text.length, ...Buffer.from(text)]);
const zone = {
  "host.test": {
    A: [Buffer.from([192, 0, 2, 1]), Buffer.from([192, 0, 2, 2])],
    AAAA: [Buffer.from("20010db8000000000000000000000001", "hex")],
    CAA: [Buffer.concat([Buffer.from([0]), string("issue"), Buffer.from("ca.test")])],
    CNAME: [name("other.test")],
    MX: [Buffer.concat([u16(10), name("mail.test")])],
    NAPTR: [Buffer.concat([u16(1, 2), string("u"), string("sip"), string(""), name("naptr.test")])],
    NS: [name("ns.test")],
    PTR: [name("ptr.test")],
    SOA: [Buffer.concat([name("ns.test"), name("root.test"), u16(0, 1, 0, 2, 0, 3, 0, 4, 0, 5)])],
    SRV: [Buffer.concat([u16(1, 2, 80), name("srv.test")])],
    TXT: [Buffer.concat([string("one"), string("two")])],
  },
  "1.2.0.192.in-addr.arpa": { PTR: [name("host.test")] },
};
let asked = 0;
const socket = dgram.createSocket("udp4");
socket.on("message", (query, from) => {
  asked++;
  const labels = [];
  let at = 12;
  for (let length = query[at]; length > 0; length = query[at]) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString());
    at += length + 1;
  }
  const asks = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  const host = labels.join(".").toLowerCase();
  if (host.startsWith("silent.")) return;
  const known = zone[host];
  const answers = [];
  for (const [type, records] of Object.entries(known ?? {})) {
    if (types[type] !== asks && asks !== 255) continue;
    for (const data of records) answers.push(Buffer.concat([u16(0xc00c, types[type], 1, 0, 60, data.length), data]));
  }
  const head = Buffer.concat([query.subarray(0, 2), u16(known ? 0x8580 : 0x8583, 1, answers.length, 0, 0)]);
  socket.send(Buffer.concat([head, question, ...answers]), from.port, from.address);
});
socket.bind(0, "127.0.0.1", () => parentPort.postMessage(socket.address().port));
parentPort.on("message", () => parentPort.postMessage(asked));
`;

let server: Worker;
const before = dns.getServers();

beforeAll(async () => {
  server = new Worker(nameServer, { eval: true, env: {} });
  const port = await new Promise((resolve) => server.once("message", resolve));
  server.unref();
  dns.setServers([`127.0.0.1:${port}`]);
});

afterAll(async () => {
  dns.setServers(before);
  await server.terminate();
});

async function asked(): Promise<number> {
  const answer = new Promise<number>((resolve) => server.once("message", resolve));
  server.postMessage("asked?");
  return answer;
}

type AnyQuery = (...args: unknown[]) => unknown;
const sync = dns as unknown as Record<string, AnyQuery>;
const promises = dns.promises as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;

/** How it comes out, so that it can be compared: errors with all that can be seen of them, but for the stack. */
async function outcome(fn: () => unknown): Promise<unknown> {
  try {
    return { value: await fn() };
  } catch (error) {
    const { name, message } = error as Error;
    return { class: (error as Error).constructor.name, name, message, ...(error as object) };
  }
}

const queries: [string, ...unknown[]][] = [
  ["resolve", "host.test"],
  ["resolve", "host.test", "MX"],
  ["resolve", "host.test", "ANY"],
  ["resolve4", "host.test"],
  ["resolve4", "host.test", { ttl: true }],
  ["resolve6", "host.test"],
  ["resolve6", "host.test", { ttl: true }],
  ["resolveAny", "host.test"],
  ["resolveCaa", "host.test"],
  ["resolveCname", "host.test"],
  ["resolveMx", "host.test"],
  ["resolveNaptr", "host.test"],
  ["resolveNs", "host.test"],
  ["resolvePtr", "host.test"],
  ["resolveSoa", "host.test"],
  ["resolveSrv", "host.test"],
  ["resolveTxt", "host.test"],
  ["reverse", "192.0.2.1"],
  ["lookup", "localhost"],
  ["lookup", "localhost", 4],
  ["lookup", "localhost", { all: true }],
  ["lookup", "localhost", { family: 4, hints: dns.ADDRCONFIG, hook() {} }],
  ["lookup", "127.0.0.1"],
  ["lookup", "::1", { all: true }],
  ["lookup", "nothing.invalid"],
  ["lookup", ""],
  ["lookupService", "127.0.0.1", 80],
  ["resolve4", "nothing.test"],
  ["resolveMx", "nothing.test"],
  ["reverse", "192.0.2.9"],
];

const wrong: [string, ...unknown[]][] = [
  ["resolve4"],
  ["resolve4", 42],
  ["resolve4", { host: "x" }],
  ["resolve4", () => {}],
  ["resolve4", Symbol("x")],
  ["resolve", "host.test", 42],
  ["resolve", "host.test", "NONSENSE"],
  ["reverse", "no address"],
  ["reverse"],
  ["lookup", 42],
  ["lookup", {}],
  ["lookup", () => {}],
  ["lookup", "localhost", 5],
  ["lookup", "localhost", "4"],
  ["lookup", "localhost", () => {}],
  ["lookup", "localhost", { family: 5 }],
  ["lookup", "localhost", { hints: 12345 }],
  ["lookup", "localhost", { all: 1 }],
  ["lookup", "localhost", { order: "first" }],
  ["lookup", "localhost", { family: Symbol("4") }],
  ["lookupService"],
  ["lookupService", "127.0.0.1"],
  ["lookupService", "host", 80],
  ["lookupService", "127.0.0.1", 65_536],
  ["lookupService", "127.0.0.1", "x"],
];

describeBoth("dns", (run) => {
  test.each(queries)("%sSync(%j, %j) comes out as its promise does", async (name, ...args) => {
    const expected = await outcome(() => promises[name]?.(...args));
    expect(await outcome(() => run(() => sync[`${name}Sync`]?.(...args)))).toEqual(expected);
  });

  test.each(wrong)("%sSync(%s, %s) is refused as its promise form does", async (name, ...args) => {
    const expected = await outcome(() => promises[name]?.(...args));
    expect(expected).toHaveProperty("code");
    expect(await outcome(() => run(() => sync[`${name}Sync`]?.(...args)))).toEqual(expected);
  });

  test("has a blocking form of each", async () => {
    const forms = Object.keys(promises).filter((name) => /^(resolve|reverse|lookup)/.test(name));
    expect(forms.filter((name) => typeof sync[`${name}Sync`] !== "function")).toEqual([]);
    expect(forms.map((name) => sync[`${name}Sync`]?.name)).toEqual(forms.map((name) => `${name}Sync`));
  });

  test("errors show who called", async () => {
    const error = await run(function caller() {
      return thrown(() => dns.resolve4Sync("nothing.test"));
    });
    expect(error).toMatchObject({ code: "ENOTFOUND", syscall: "queryA", hostname: "nothing.test" });
    expect(error.stack).toMatch(/^Error: queryA ENOTFOUND nothing.test\n {4}at .*caller/s);
  });

  test("follows the default order of results", async () => {
    const order = dns.getDefaultResultOrder();
    try {
      for (const one of ["ipv4first", "verbatim"] as const) {
        dns.setDefaultResultOrder(one);
        const expected = await dns.promises.lookup("localhost", { all: true });
        expect(await run(() => dns.lookupSync("localhost", { all: true }))).toEqual(expected);
      }
    } finally {
      dns.setDefaultResultOrder(order);
    }
  });
});

describeFibers("dns in fibers", () => {
  test.each(["lookupSync", "lookupServiceSync"])("%s lets others go on", async (name) => {
    expect(
      await progress(() => sync[name]?.("127.0.0.1", ...(name === "lookupServiceSync" ? [80] : []))),
    ).toBeGreaterThan(0);
  });

  test("a query lets others go on until its answer is there", async () => {
    const turns = await progress(() => thrown(() => withTimeout(50, () => dns.resolve4Sync("silent.test"))));
    expect(turns).toBeGreaterThan(1);
  });

  test("200 queries at once", async () => {
    const fibers = Array.from({ length: 200 }, () => spawn(() => dns.resolve4Sync("host.test")));
    for (const fiber of fibers) expect(await fiber).toHaveLength(2);
  });

  test("killed, a query is cancelled, and others go on", async () => {
    const idle = process.getActiveResourcesInfo().filter((one) => one === "QUERYWRAP").length;
    const others = spawn(() => dns.resolve4Sync("host.test"));
    const fibers = ["resolve4Sync", "resolveAnySync", "resolveTxtSync", "resolveSync"].map((name) =>
      spawn(() => sync[name]?.("silent.test")),
    );
    const more = spawn(() => dns.reverseSync("192.0.2.1"));
    await settle();
    await inFiber(() => {
      for (const fiber of fibers) fiber.kill();
    });
    expect(await others).toEqual(["192.0.2.1", "192.0.2.2"]);
    expect(await more).toEqual(["host.test"]);
    await until(() => process.getActiveResourcesInfo().filter((one) => one === "QUERYWRAP").length === idle);
  });

  test("a timeout reaches it, and leaves the next one working", async () => {
    const error = await inFiber(function caller() {
      return thrown(() => withTimeout(20, () => dns.resolveMxSync("silent.test")));
    });
    expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(error.stack).toContain("caller");
    const [record] = await inFiber(() => dns.resolveMxSync("host.test"));
    expect(record).toMatchObject({ exchange: "mail.test", priority: 10 });
  });

  test("killed before it starts, nothing is asked", async () => {
    const count = await asked();
    await inFiber(() => spawn(() => dns.resolve4Sync("host.test")).kill());
    expect(await asked()).toBe(count);
  });
});

describe("dns", () => {
  test("asynchronous queries are as before", async () => {
    const fiber = dns.promises.resolve4("host.test");
    expect(await fiber).toEqual(["192.0.2.1", "192.0.2.2"]);
    const addresses = await new Promise((resolve) => dns.resolve4("host.test", (_, list) => resolve(list)));
    expect(addresses).toEqual(["192.0.2.1", "192.0.2.2"]);
  });
});
