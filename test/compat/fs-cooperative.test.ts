// Every synchronous function of fs, by itself: that it suspends its fiber only, what a kill leaves of it, and what it costs.
import { createHook } from "node:async_hooks";
import { execFileSync } from "node:child_process";
import { onceSync } from "node:events";
import nodeFs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { original, patch, sleep, spawn, unpatch } from "runtime";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeFibers, inFiber, progress, settle, until } from "./support";

const fs = nodeFs as typeof nodeFs & {
  globSync(pattern: string, options: object): string[];
  mkdtempDisposableSync(prefix: string): { path: string; remove(): void };
  lchmodSync(path: string, mode: number): void;
};
const LARGE = 300_000; // the page cache is not asked for so much

interface Place {
  dir: string;
  /** A name in it that nobody has asked for. */
  fresh(): string;
  /** An open file in it. */
  fd: number;
  /** An open directory. */
  open: nodeFs.Dir;
}

interface Hold {
  release(): void;
  /** Once the pool serves again. */
  released(): Promise<void>;
}

type Call = (place: Place) => unknown;
const onFile =
  (use: (file: string, fresh: string) => unknown): Call =>
  ({ dir, fresh }) =>
    use(path.join(dir, "file"), fresh());
const onDescriptor =
  (use: (fd: number) => unknown): Call =>
  ({ fd }) =>
    use(fd);

/** By the function's name: a call that the page cache cannot answer. */
const calls: Record<string, Call> = {
  accessSync: onFile((file) => fs.accessSync(file)),
  appendFileSync: onFile((file) => fs.appendFileSync(file, "more")),
  chmodSync: onFile((file) => fs.chmodSync(file, 0o600)),
  chownSync: onFile((file) => fs.chownSync(file, process.getuid?.() ?? 0, process.getgid?.() ?? 0)),
  closeSync: onDescriptor((fd) => fs.closeSync(fd)),
  copyFileSync: onFile((file, fresh) => fs.copyFileSync(file, fresh)),
  cpSync: ({ dir, fresh }) => fs.cpSync(path.join(dir, "tree"), fresh(), { recursive: true }),
  existsSync: ({ fresh }) => fs.existsSync(fresh()),
  fchmodSync: onDescriptor((fd) => fs.fchmodSync(fd, 0o600)),
  fchownSync: onDescriptor((fd) => fs.fchownSync(fd, process.getuid?.() ?? 0, process.getgid?.() ?? 0)),
  fdatasyncSync: onDescriptor((fd) => fs.fdatasyncSync(fd)),
  fstatSync: onDescriptor((fd) => fs.fstatSync(fd)),
  fsyncSync: onDescriptor((fd) => fs.fsyncSync(fd)),
  ftruncateSync: onDescriptor((fd) => fs.ftruncateSync(fd, 3)),
  futimesSync: onDescriptor((fd) => fs.futimesSync(fd, 1, 1)),
  globSync: ({ dir }) => fs.globSync("*", { cwd: dir }),
  lchmodSync: onFile((file) => fs.lchmodSync(file, 0o600)),
  lchownSync: onFile((file) => fs.lchownSync(file, process.getuid?.() ?? 0, process.getgid?.() ?? 0)),
  linkSync: onFile((file, fresh) => fs.linkSync(file, fresh)),
  lstatSync: onFile((file) => fs.lstatSync(file)),
  lutimesSync: onFile((file) => fs.lutimesSync(file, 1, 1)),
  mkdirSync: ({ fresh }) => fs.mkdirSync(path.join(fresh(), "below"), { recursive: true }),
  mkdtempDisposableSync: ({ dir }) => fs.mkdtempDisposableSync(path.join(dir, "temp-")),
  mkdtempSync: ({ dir }) => fs.mkdtempSync(path.join(dir, "temp-")),
  openSync: onFile((file) => fs.closeSync(fs.openSync(file))),
  opendirSync: ({ dir }) => fs.opendirSync(dir).closeSync(),
  readFileSync: onFile((file) => fs.readFileSync(file)),
  readSync: onDescriptor((fd) => fs.readSync(fd, Buffer.alloc(LARGE), 0, LARGE, 0)),
  readdirSync: ({ dir }) => fs.readdirSync(dir),
  readlinkSync: ({ dir }) => fs.readlinkSync(path.join(dir, "link")),
  readvSync: onDescriptor((fd) => fs.readvSync(fd, [Buffer.alloc(LARGE)], 0)),
  realpathSync: onFile((file) => fs.realpathSync(file)),
  renameSync: onFile((file, fresh) => fs.renameSync(file, fresh)),
  rmSync: ({ dir }) => fs.rmSync(path.join(dir, "tree"), { recursive: true }),
  rmdirSync: ({ dir }) => fs.rmdirSync(path.join(dir, "empty")),
  statSync: onFile((file) => fs.statSync(file)),
  statfsSync: onFile((file) => fs.statfsSync(file)),
  symlinkSync: onFile((file, fresh) => fs.symlinkSync(file, fresh)),
  truncateSync: onFile((file) => fs.truncateSync(file, 3)),
  unlinkSync: onFile((file) => fs.unlinkSync(file)),
  utimesSync: onFile((file) => fs.utimesSync(file, 1, 1)),
  writeFileSync: ({ fresh }) => fs.writeFileSync(fresh(), "new"),
  writeSync: onDescriptor((fd) => fs.writeSync(fd, "new")),
  writevSync: onDescriptor((fd) => fs.writevSync(fd, [Buffer.from("new")])),
  "Dir#readSync": ({ open }) => open.readSync(),
  "Dir#closeSync": ({ open }) => open.closeSync(),
  "realpathSync.native": onFile((file) => fs.realpathSync.native(file)),
};

/** Why these are Node's own also in a fiber. */
const nodesOwn: Record<string, string> = {
  openAsBlobSync: "does no more than openAsBlob does before it returns its promise, and in the same way",
  "Dir#readSyncRecursive": "a part of Dir#read and Dir#readSync that was not hidden before Node 26",
};

/** How many trips to the pool a call takes; where that is not one, the reason. */
const trips: Record<string, number> = {
  globSync: 2, // the directory itself, and what is in it
  lchmodSync: 3, // which is Node's way: open, fchmod, close
  openSync: 2, // with the close
  opendirSync: 2, // likewise
  truncateSync: 3, // Node's way: open, ftruncate, close
};

function find(name: string): unknown {
  if (name.startsWith("Dir#")) return (fs.Dir.prototype as unknown as Record<string, unknown>)[name.slice(4)];
  if (name === "realpathSync.native") return fs.realpathSync.native;
  return (fs as unknown as Record<string, unknown>)[name];
}

const names = [
  ...Object.keys(fs).filter((name) => name.endsWith("Sync")),
  ...Object.getOwnPropertyNames(fs.Dir.prototype)
    .filter((name) => name.includes("Sync"))
    .map((name) => `Dir#${name}`),
  "realpathSync.native",
].filter((name) => typeof find(name) === "function"); // lchmodSync is, on macOS
const ours = names.filter((name) => name in calls);

describe("every synchronous function of fs that this Node has", () => {
  afterEach(() => unpatch());

  it("is tested here, or there is a reason why it is left as it is", () => {
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !(name in calls) && !(name in nodesOwn))).toEqual([]);
  });

  it("is replaced, unless there is a reason not to be", () => {
    const before = new Map(names.map((name) => [name, find(name)]));
    patch();
    expect(names.filter((name) => find(name) === before.get(name))).toEqual(names.filter((name) => name in nodesOwn));
    unpatch();
    expect(names.filter((name) => find(name) !== before.get(name))).toEqual([]);
  });
});

describeFibers("in a fiber", () => {
  let dir: string;
  let place: Place;
  let fresh = 0;
  let hold: Hold | undefined;

  beforeAll(async () => {
    patch();
    // What maps stack traces to sources reads files, in whatever fiber an error first appears: not while the pool is held.
    await inFiber(() => new Error("first").stack);
  });
  afterAll(() => unpatch());
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(tmpdir(), "runtime-fs-"));
    fs.writeFileSync(path.join(dir, "file"), Buffer.alloc(LARGE));
    fs.mkdirSync(path.join(dir, "tree", "deep"), { recursive: true });
    for (const one of ["a", "b", "deep/c"]) fs.writeFileSync(path.join(dir, "tree", one), one);
    fs.mkdirSync(path.join(dir, "empty"));
    fs.symlinkSync("file", path.join(dir, "link"));
    place = {
      dir,
      fresh: () => path.join(dir, `fresh${++fresh}`),
      fd: fs.openSync(path.join(dir, "file"), "r+"),
      open: fs.opendirSync(dir),
    };
  });
  afterEach(async () => {
    hold?.release();
    await hold?.released();
    hold = undefined;
    quietly(() => fs.closeSync(place.fd));
    quietly(() => place.open.closeSync());
    fs.rmSync(dir, { recursive: true });
  });

  function quietly(fn: () => void): void {
    try {
      fn();
    } catch {
      // the test has closed it
    }
  }

  /** Has every thread of the pool wait for something. */
  function holdPool(): Hold {
    const fifos = Array.from({ length: 4 }, (_, i) => path.join(dir, `hold${i}`));
    execFileSync("mkfifo", fifos);
    const held = fifos.map(
      (fifo) => new Promise<void>((resolve) => fs.open(fifo, "r", (_, fd) => fs.close(fd, () => resolve()))),
    );
    const open = original("fs", "openSync") as typeof nodeFs.openSync;
    const close = original("fs", "closeSync") as typeof nodeFs.closeSync;
    const others: number[] = [];
    hold = {
      release() {
        if (others.length > 0) return;
        for (const fifo of fifos) others.push(open(fifo, "r+")); // which waits for nobody
      },
      async released() {
        await Promise.all(held);
        for (const fd of others.splice(0)) close(fd);
      },
    };
    return hold;
  }

  it.each(ours)("%s lets others run", async (name) => {
    const { release, released } = holdPool();
    // It ends only when another fiber has had its fifth turn, and the pool serves again.
    const turns = await progress(() => void (calls[name] as Call)(place), release);
    expect(turns).toBeGreaterThanOrEqual(5);
    await released();
  });

  it.each(ours)("%s leaves nothing behind when it is killed", async (name) => {
    const left = () => fs.readdirSync(dir).filter((entry) => entry.startsWith("temp-"));
    const descriptors = () => fs.readdirSync("/proc/self/fd").length;
    const before = descriptors();
    const { release, released } = holdPool();
    let went = "";
    const fiber = spawn(() => {
      try {
        (calls[name] as Call)(place);
        went = "on";
      } finally {
        went += "unwound";
      }
    });
    await settle();
    expect(went).toBe("");
    await inFiber(() => fiber.kill());
    expect(went).toBe("unwound");
    release();
    await released();
    await new Promise((resolve) => fs.stat(dir, resolve)); // behind what was begun for it
    await until(() => descriptors() <= before);
    await until(() => left().length === 0);
  });

  it.each(ours)("%s takes no more trips to the pool than it must", async (name) => {
    let count = 0;
    const hook = createHook({
      init(_id, type) {
        if (type === "FSREQCALLBACK" || type === "FSREQPROMISE" || type === "FILEJOB") count++;
      },
    });
    await inFiber(() => {
      hook.enable();
      (calls[name] as Call)(place);
      hook.disable();
    });
    expect(count).toBe(trips[name] ?? 1);
  });
});

describeFibers("fs.watch in a fiber", () => {
  beforeAll(() => patch());
  afterAll(() => unpatch());

  it("is over before anything else happens, however many directories it has to go through", async () => {
    const top = nodeFs.mkdtempSync(path.join(tmpdir(), "watched-"));
    for (let i = 0; i < 20; i++) nodeFs.mkdirSync(path.join(top, `${i}`, "below"), { recursive: true });
    let turns = 0;
    const other = spawn(() => {
      for (; turns < 1000; turns++) sleep(0);
    });
    const [before, after, name] = await inFiber(() => {
      const start = turns;
      const watcher = nodeFs.watch(top, { recursive: true });
      const end = turns;
      try {
        spawn(() => nodeFs.writeFileSync(path.join(top, "3", "below", "new"), ""));
        const [, file] = onceSync(watcher, "change") as [string, string];
        return [start, end, file];
      } finally {
        watcher.close();
      }
    });
    other.kill();
    nodeFs.rmSync(top, { recursive: true });
    expect(after).toBe(before);
    expect(name).toContain("3");
  });
});
