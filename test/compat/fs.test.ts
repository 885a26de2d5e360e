import { execFileSync, spawn as spawnProcess } from "node:child_process";
import nodeFs, { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { original, patch, spawn, unpatch, withTimeout } from "runtime";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeFibers, itFibers } from "../support/fibers";
import { run } from "../support/run";

const fs = nodeFs as typeof nodeFs & Record<string, (...args: unknown[]) => unknown>;

type Call = (dir: string) => unknown;
const inDir =
  (name: string, ...args: unknown[]): Call =>
  (dir) => {
    const resolved = args.map((arg) => (typeof arg === "string" && arg.startsWith("./") ? path.join(dir, arg) : arg));
    return (fs[name] as (...args: unknown[]) => unknown)(...resolved);
  };

function withFile(use: (fd: number) => unknown, flags = "r+"): Call {
  return (dir) => {
    const fd = fs.openSync(path.join(dir, "file"), flags);
    try {
      return use(fd);
    } finally {
      fs.closeSync(fd);
    }
  };
}

const readInto =
  (...args: unknown[]): Call =>
  (dir) =>
    withFile((fd) => {
      const buffer = Buffer.alloc(8, ".");
      const count = (fs.readSync as unknown as (...args: unknown[]) => number)(fd, buffer, ...args);
      return { count, text: buffer.toString() };
    })(dir);

/** Each is run in the same small directory, by Node's own functions and by the patched ones in a fiber. */
const calls: Record<string, Call> = {
  "readFileSync as text": inDir("readFileSync", "./file", "utf8"),
  "readFileSync as bytes": inDir("readFileSync", "./file"),
  "readFileSync with options": inDir("readFileSync", "./file", { encoding: "latin1", flag: "r" }),
  "readFileSync with null options": inDir("readFileSync", "./file", null),
  "readFileSync of a file that is not there": inDir("readFileSync", "./none"),
  "readFileSync of a directory": inDir("readFileSync", "./sub"),
  "readFileSync with a bad encoding": inDir("readFileSync", "./file", "no-such-encoding"),
  "readFileSync with bad options": inDir("readFileSync", "./file", 42),
  "readFileSync with a bad path": inDir("readFileSync", 1.5),
  "readFileSync with a null byte in the path": inDir("readFileSync", "a\0b"),
  "readFileSync of bytes that are no UTF-8, as text": (dir) => {
    const broken = [
      0xef, 0xbb, 0xbf, 0x61, 0xff, 0xc3, 0x28, 0xe2, 0x82, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0x80, 0xc3,
    ];
    fs.writeFileSync(path.join(dir, "broken"), Buffer.from(broken));
    const encodings = ["utf8", "UTF-8", "latin1", "base64", "hex", "utf16le", "ascii"] as const;
    return encodings.map((encoding) => fs.readFileSync(path.join(dir, "broken"), encoding));
  },
  "readFileSync of an empty file": (dir) => {
    fs.writeFileSync(path.join(dir, "empty"), "");
    return [fs.readFileSync(path.join(dir, "empty")), fs.readFileSync(path.join(dir, "empty"), "utf8")];
  },
  "readFileSync of a large file": (dir) => {
    fs.writeFileSync(path.join(dir, "large"), "0123456789abcdef".repeat(50_000));
    return fs.readFileSync(path.join(dir, "large")).length;
  },
  "readFileSync through a link": inDir("readFileSync", "./link", "utf8"),
  "readFileSync below a file": inDir("readFileSync", "./file/below"),
  "readFileSync of what the system makes up": () => /^Name:/.test(fs.readFileSync("/proc/self/status", "utf8")),
  "readFileSync with an empty path": inDir("readFileSync", ""),
  "readFileSync with the encoding buffer": inDir("readFileSync", "./file", { encoding: "buffer" }),
  "readFileSync as buffer, named": inDir("readFileSync", "./file", "buffer"),
  "readFileSync by a path of bytes": (dir) => fs.readFileSync(Buffer.from(path.join(dir, "file")), "utf8"),
  "readFileSync by a URL that is none of a file": (dir) => fs.readFileSync(new URL(`http://host${dir}/file`)),
  "readSync up to the end, and beyond": withFile((fd) => {
    const buffer = Buffer.alloc(100, ".");
    return [fs.readSync(fd, buffer, 0, 100, null), fs.readSync(fd, buffer, 0, 100, null), buffer.toString()];
  }),
  "readSync from a position leaves the file's own": withFile((fd) => {
    const buffer = Buffer.alloc(4, ".");
    return [
      fs.readSync(fd, buffer, 1, 2, 3),
      buffer.toString(),
      fs.readSync(fd, buffer, 0, 4, null),
      buffer.toString(),
    ];
  }),
  "readSync of a large file in one": (dir) => {
    fs.writeFileSync(path.join(dir, "large"), "0123456789abcdef".repeat(50_000));
    const fd = fs.openSync(path.join(dir, "large"));
    const buffer = Buffer.alloc(900_000);
    const counts = [fs.readSync(fd, buffer, 0, 900_000, null), fs.readSync(fd, buffer, 0, 100_000, 790_000)];
    fs.closeSync(fd);
    return counts;
  },
  "readFileSync from a descriptor": withFile((fd) => [fs.readFileSync(fd, "utf8"), fs.readFileSync(fd, "utf8")]),
  "readFileSync from a descriptor that is for writing only": withFile((fd) => fs.readFileSync(fd), "a"),
  "readFileSync from a directory's descriptor": (dir) => {
    const fd = fs.openSync(dir);
    try {
      return fs.readFileSync(fd, "utf8");
    } finally {
      fs.closeSync(fd);
    }
  },
  "readFileSync by URL": (dir) => fs.readFileSync(new URL(`file://${dir}/file`), "utf8"),
  "writeFileSync, then the file": (dir) => {
    fs.writeFileSync(path.join(dir, "new"), "text", { mode: 0o600 });
    return fs.readFileSync(path.join(dir, "new"), "utf8") + (fs.statSync(path.join(dir, "new")).mode & 0o777);
  },
  "writeFileSync with flag wx on a file that exists": inDir("writeFileSync", "./file", "x", { flag: "wx" }),
  "writeFileSync into a directory that is not there": inDir("writeFileSync", "./none/file", "x"),
  "writeFileSync with bad data": inDir("writeFileSync", "./new", 42),
  "writeFileSync to a descriptor": withFile((fd) => {
    fs.writeFileSync(fd, "12");
    return fs.readFileSync(fd, "utf8");
  }),
  "appendFileSync, then the file": (dir) => {
    fs.appendFileSync(path.join(dir, "file"), "more");
    return fs.readFileSync(path.join(dir, "file"), "utf8");
  },
  "statSync size": (dir) => fs.statSync(path.join(dir, "file")).size,
  "statSync bigint": (dir) => fs.statSync(path.join(dir, "file"), { bigint: true }).size,
  "statSync of nothing": inDir("statSync", "./none"),
  "statSync of nothing, no throw": inDir("statSync", "./none", { throwIfNoEntry: false }),
  "statSync below a file, no throw": inDir("statSync", "./file/x", { throwIfNoEntry: false }),
  "lstatSync of a link": (dir) => fs.lstatSync(path.join(dir, "link")).isSymbolicLink(),
  "lstatSync of nothing, no throw": inDir("lstatSync", "./none", { throwIfNoEntry: false }),
  "fstatSync size": withFile((fd) => fs.fstatSync(fd).size),
  readdirSync: (dir) => fs.readdirSync(dir).sort(),
  "readdirSync with types": (dir) =>
    fs
      .readdirSync(dir, { withFileTypes: true })
      .map((entry) => `${entry.name} ${entry.isDirectory()}`)
      .sort(),
  "readdirSync, recursive": (dir) => (fs.readdirSync(dir, { recursive: true }) as string[]).sort(),
  "readdirSync, recursive, by a path of bytes": (dir) =>
    (fs.readdirSync(Buffer.from(dir), { recursive: true }) as unknown[]).map(String).sort(),
  "readdirSync, recursive, of names as bytes": (dir) =>
    fs.readdirSync(dir, { recursive: true, encoding: "buffer" }).map(String).sort(),
  "readdirSync of a file": inDir("readdirSync", "./file"),
  mkdirSync: inDir("mkdirSync", "./made"),
  "mkdirSync of what exists": inDir("mkdirSync", "./sub"),
  "mkdirSync with bad options": inDir("mkdirSync", "./made", { recursive: "yes" }),
  "mkdirSync, recursive": (dir) => path.relative(dir, fs.mkdirSync(path.join(dir, "a/b/c"), { recursive: true }) ?? ""),
  "mkdirSync, recursive, below a link to nothing": (dir) => {
    fs.symlinkSync("none", path.join(dir, "dangling"));
    fs.mkdirSync(path.join(dir, "dangling/a/b"), { recursive: true });
  },
  "mkdtempSync in a directory that is not there": inDir("mkdtempSync", "./none/temp-"),
  mkdtempSync: (dir) => path.basename(fs.mkdtempSync(path.join(dir, "temp-"))).length,
  rmSync: inDir("rmSync", "./file"),
  "rmSync, recursive": (dir) => {
    fs.rmSync(path.join(dir, "sub"), { recursive: true });
    return fs.existsSync(path.join(dir, "sub"));
  },
  "rmSync of nothing": inDir("rmSync", "./none"),
  "rmSync below a file": inDir("rmSync", "./file/below"),
  "rmSync below a file, forced": inDir("rmSync", "./file/below", { force: true }),
  "rmSync of nothing, forced": inDir("rmSync", "./none", { force: true }),
  "rmSync of a directory": inDir("rmSync", "./sub"),
  "rmdirSync of a full directory": inDir("rmdirSync", "./sub"),
  unlinkSync: inDir("unlinkSync", "./file"),
  "unlinkSync of nothing": inDir("unlinkSync", "./none"),
  renameSync: inDir("renameSync", "./file", "./moved"),
  "renameSync of nothing": inDir("renameSync", "./none", "./moved"),
  "copyFileSync, then the copy": (dir) => {
    fs.copyFileSync(path.join(dir, "file"), path.join(dir, "copy"));
    return fs.readFileSync(path.join(dir, "copy"), "utf8");
  },
  "copyFileSync, exclusive, on what exists": inDir("copyFileSync", "./file", "./link", 1),
  "copyFileSync with a bad mode": inDir("copyFileSync", "./file", "./copy", "x"),
  "cpSync, recursive": (dir) => {
    fs.cpSync(path.join(dir, "sub"), path.join(dir, "sub2"), { recursive: true });
    return fs.readdirSync(path.join(dir, "sub2"));
  },
  existsSync: (dir) => [fs.existsSync(path.join(dir, "file")), fs.existsSync(path.join(dir, "none"))],
  "existsSync of nonsense": () => [fs.existsSync(undefined as never), fs.existsSync("a\0b")],
  accessSync: inDir("accessSync", "./file"),
  "accessSync of nothing": inDir("accessSync", "./none", 4),
  "accessSync with a bad mode": inDir("accessSync", "./file", 99),
  "openSync of nothing": inDir("openSync", "./none", "r"),
  "openSync with bad flags": inDir("openSync", "./file", "zzz"),
  "closeSync of a bad descriptor": inDir("closeSync", 99999),
  "closeSync of nonsense": inDir("closeSync", "1"),
  "readSync of all": readInto(),
  "readSync with numbers": readInto(1, 3, 2),
  "readSync with options": readInto({ offset: 2, length: 2, position: 0 }),
  "readSync with null, which stands for options": readInto(null, 2, 1),
  "readSync with an array, which is none": readInto([]),
  "readSync past the end": readInto(0, 8, 1000),
  "readSync of nothing": readInto(0, 0, 0),
  "readSync beyond the buffer": readInto(6, 8, 0),
  "readSync with a bad offset": readInto(-1, 1, 0),
  "readSync into nonsense": withFile((fd) => fs.readSync(fd, "x" as never)),
  "writeSync of text": withFile((fd) => [fs.writeSync(fd, "äb", 1, "utf8"), fs.readFileSync(fd, "utf8")]),
  "writeSync of bytes": withFile((fd) => fs.writeSync(fd, Buffer.from("abc"), 1, 1, 0)),
  "writeSync with options": withFile((fd) => fs.writeSync(fd, Buffer.from("abc"), { offset: 1 } as never)),
  "writeSync of nonsense": withFile((fd) => fs.writeSync(fd, 42 as never)),
  "writeSync to a file open for reading": withFile((fd) => fs.writeSync(fd, "x"), "r"),
  readvSync: withFile((fd) => {
    const parts = [Buffer.alloc(2), Buffer.alloc(3)];
    return [fs.readvSync(fd, parts), Buffer.concat(parts).toString()];
  }),
  writevSync: withFile((fd) => fs.writevSync(fd, [Buffer.from("a"), Buffer.from("b")])),
  "ftruncateSync, then size": withFile((fd) => {
    fs.ftruncateSync(fd, 3);
    return fs.fstatSync(fd).size;
  }),
  "truncateSync, then the file": (dir) => {
    fs.truncateSync(path.join(dir, "file"), 2);
    return fs.readFileSync(path.join(dir, "file"), "utf8");
  },
  readlinkSync: (dir) => path.relative(dir, fs.readlinkSync(path.join(dir, "link"))),
  realpathSync: (dir) => path.relative(fs.realpathSync(dir), fs.realpathSync(path.join(dir, "link"))),
  "symlinkSync on what exists": inDir("symlinkSync", "x", "./link"),
  linkSync: inDir("linkSync", "./file", "./hard"),
  "chmodSync, then mode": (dir) => {
    fs.chmodSync(path.join(dir, "file"), 0o640);
    return fs.statSync(path.join(dir, "file")).mode & 0o777;
  },
  "utimesSync, then mtime": (dir) => {
    fs.utimesSync(path.join(dir, "file"), 1, 2);
    return fs.statSync(path.join(dir, "file")).mtimeMs;
  },
  fsyncSync: withFile((fd) => fs.fsyncSync(fd)),
  "readFileSync of what the page cache does not have": (dir) => {
    fs.writeFileSync(path.join(dir, "large"), "0123456789abcdef".repeat(20_000));
    const file = path.join(dir, "large");
    return [fs.readFileSync(file).length, fs.readFileSync(file, "utf8").length, fs.readFileSync(file, "hex").length];
  },
  "readFileSync by a path of bytes that leads nowhere": (dir) => fs.readFileSync(Buffer.from(path.join(dir, "none"))),
  "readFileSync of a path that is too long": (dir) => fs.readFileSync(path.join(dir, "x".repeat(300))),
  "readFileSync of /dev/null": () => fs.readFileSync("/dev/null", "utf8"),
  "writeFileSync of bytes, of a piece of them, of numbers": (dir) => {
    const file = path.join(dir, "new");
    const views = [Buffer.from("bytes"), Buffer.from("some bytes").subarray(5), new Uint16Array([0x6161, 0x6262])];
    return views.map((view) => {
      fs.writeFileSync(file, view);
      return fs.readFileSync(file, "utf8");
    });
  },
  "writeFileSync in encodings": (dir) =>
    (["utf8", "utf-8", "latin1", "hex", "base64", "utf16le"] as const).map((encoding) => {
      fs.writeFileSync(path.join(dir, "new"), "c3a4 äöü \ud800", encoding);
      return fs.readFileSync(path.join(dir, "new"), "hex");
    }),
  "writeFileSync with flags": (dir) =>
    ["r+", "w+", "a", "a+", "wx+", "ax", "as", "nope"].map((flag) =>
      outcome(() => {
        fs.writeFileSync(path.join(dir, "file"), "12", { flag });
        return fs.readFileSync(path.join(dir, "file"), "utf8");
      }, dir),
    ),
  "writeFileSync with odd options": (dir) =>
    [null, "latin1", 7, { mode: "600" }, { mode: -1 }, { mode: 2 ** 33 }, { encoding: "nope" }, { encoding: null }].map(
      (options) => outcome(() => fs.writeFileSync(path.join(dir, "new"), "x", options as never), dir),
    ),
  "writeFileSync of much": (dir) => {
    fs.writeFileSync(path.join(dir, "new"), Buffer.alloc(5_000_000, 7));
    return fs.statSync(path.join(dir, "new")).size;
  },
  "writeFileSync of nothing": (dir) => {
    fs.writeFileSync(path.join(dir, "file"), "");
    return fs.statSync(path.join(dir, "file")).size;
  },
  "writeFileSync to a directory": inDir("writeFileSync", "./sub", "x"),
  "writeFileSync to /dev/null": () => fs.writeFileSync("/dev/null", "x"),
  "writeFileSync to a device that is full": () => fs.writeFileSync("/dev/full", "x"),
  "appendFileSync to what is not there, with a mode": (dir) => {
    fs.appendFileSync(path.join(dir, "new"), Buffer.from("x"), { mode: 0o640 });
    return fs.statSync(path.join(dir, "new")).mode & 0o777;
  },
  "appendFileSync to a directory": inDir("appendFileSync", "./sub", "x"),
  "mkdirSync, recursive, of what there is": inDir("mkdirSync", "./sub", { recursive: true }),
  "mkdirSync, recursive, where a file is": inDir("mkdirSync", "./file", { recursive: true }),
  "mkdirSync, recursive, below a file": inDir("mkdirSync", "./file/a/b", { recursive: true }),
  "mkdirSync, recursive, of odd paths": (dir) =>
    ["a//b", "c/./d", "e/../f", "g/", "h/i/", "sub/x/y"].map((name) =>
      String(fs.mkdirSync(`${dir}/${name}`, { recursive: true })).replace(dir, "DIR"),
    ),
  "mkdirSync, recursive, with a mode": (dir) => {
    fs.mkdirSync(path.join(dir, "a/b"), { recursive: true, mode: 0o700 });
    return ["a", "a/b"].map((name) => fs.statSync(path.join(dir, name)).mode & 0o777);
  },
  "rmSync of a link to a directory, recursive": (dir) => {
    fs.symlinkSync("sub", path.join(dir, "to"));
    fs.rmSync(path.join(dir, "to"), { recursive: true });
    return fs.readdirSync(dir).sort();
  },
  "rmSync, recursive, of nothing": inDir("rmSync", "./none", { recursive: true }),
  "rmSync, recursive, of a deep tree with links out of it": (dir) => {
    fs.mkdirSync(path.join(dir, "deep/er/and/deeper"), { recursive: true });
    fs.symlinkSync(path.join(dir, "sub"), path.join(dir, "deep/er/out"));
    fs.rmSync(path.join(dir, "deep"), { recursive: true });
    return [fs.readdirSync(dir).sort(), fs.readdirSync(path.join(dir, "sub"))];
  },
  "rmSync with bad options": inDir("rmSync", "./file", { recursive: "yes" }),
  "rmSync with a bad path": inDir("rmSync", 42),
  "cpSync of a file": (dir) => {
    fs.chmodSync(path.join(dir, "file"), 0o640);
    fs.cpSync(path.join(dir, "file"), path.join(dir, "new/and/deep"));
    return [fs.readFileSync(path.join(dir, "new/and/deep"), "utf8"), fs.statSync(path.join(dir, "new/and/deep")).mode];
  },
  "cpSync of a file onto another": (dir) => {
    fs.cpSync(path.join(dir, "file"), path.join(dir, "sub/inner"));
    return fs.readFileSync(path.join(dir, "sub/inner"), "utf8");
  },
  "cpSync of a file onto another, unforced": (dir) => {
    fs.cpSync(path.join(dir, "file"), path.join(dir, "sub/inner"), { force: false });
    return fs.readFileSync(path.join(dir, "sub/inner"), "utf8");
  },
  "cpSync of a tree with links, onto another": (dir) => {
    fs.mkdirSync(path.join(dir, "tree/a/b"), { recursive: true });
    fs.writeFileSync(path.join(dir, "tree/a/b/c"), "c");
    fs.symlinkSync(path.join(dir, "file"), path.join(dir, "tree/link"));
    fs.cpSync(path.join(dir, "tree"), path.join(dir, "sub"), { recursive: true });
    return (fs.readdirSync(path.join(dir, "sub"), { recursive: true }) as string[]).sort();
  },
  "cpSync of nothing": (dir) => failure(() => fs.cpSync(path.join(dir, "none"), path.join(dir, "new"))),
  "cpSync of a directory, not recursive": (dir) =>
    failure(() => fs.cpSync(path.join(dir, "sub"), path.join(dir, "new"))),
  "cpSync into itself": (dir) =>
    failure(() => fs.cpSync(path.join(dir, "sub"), path.join(dir, "sub/below"), { recursive: true })),
  "cpSync onto itself": (dir) => failure(() => fs.cpSync(path.join(dir, "file"), path.join(dir, "file"))),
  "cpSync with a filter": (dir) => {
    const asked: string[] = [];
    const filter = (from: string, to: string) => {
      asked.push(path.relative(dir, from), path.relative(dir, to));
      return !from.endsWith("inner");
    };
    fs.cpSync(path.join(dir, "sub"), path.join(dir, "new"), { recursive: true, filter });
    return [asked, fs.readdirSync(path.join(dir, "new"))];
  },
  "cpSync with a filter that throws": (dir) => {
    const filter = () => {
      throw new Error("from the filter");
    };
    fs.cpSync(path.join(dir, "sub"), path.join(dir, "new"), { recursive: true, filter });
  },
  "cpSync with a filter that returns a promise": (dir) =>
    fs.cpSync(path.join(dir, "sub"), path.join(dir, "new"), { filter: (async () => true) as never }),
  "cpSync with a bad filter": inDir("cpSync", "./file", "./new", { filter: 1 }),
  "cpSync with bad options": inDir("cpSync", "./file", "./new", "x"),
  "opendirSync, entry by entry": (dir) => {
    const names: string[] = [];
    const open = fs.opendirSync(dir);
    for (let entry = open.readSync(); entry !== null; entry = open.readSync()) names.push(entry.name);
    open.closeSync();
    return names.sort();
  },
  "opendirSync, recursive, few at once": (dir) => {
    const names: string[] = [];
    const open = fs.opendirSync(dir, { recursive: true, bufferSize: 1 } as never);
    for (let entry = open.readSync(); entry !== null; entry = open.readSync()) names.push(entry.name);
    open.closeSync();
    return names.sort();
  },
  "opendirSync of nothing": inDir("opendirSync", "./none"),
  "opendirSync of a file": inDir("opendirSync", "./file"),
  "opendirSync with bad options": inDir("opendirSync", "./sub", { bufferSize: -1 }),
  "a directory that was closed": (dir) => {
    const open = fs.opendirSync(dir);
    open.closeSync();
    return [outcome(() => open.readSync(), dir), outcome(() => open.closeSync(), dir)];
  },
  "globSync of patterns": (dir) => globs(dir, ["*", "sub/*"], {}),
  "globSync below": (dir) => globs(dir, "**", {}),
  "globSync without some": (dir) => globs(dir, "**/*", { exclude: (name: string) => String(name).startsWith("l") }),
  "globSync of a bad pattern": () => globs("/", 42, {}),
  "realpathSync.native": (dir) =>
    fs.realpathSync.native(path.join(dir, "link")) === fs.realpathSync(path.join(dir, "file")),
  "realpathSync of nothing": inDir("realpathSync", "./none/below"),
  "realpathSync as bytes": (dir) => Buffer.isBuffer(fs.realpathSync(path.join(dir, "link"), "buffer")),
  "mkdtempDisposableSync, used and removed": (dir) => {
    const make = fs.mkdtempDisposableSync as unknown as (prefix: string) => { path: string; remove(): void };
    if (!make) return "not in this Node";
    const made = make(path.join(dir, "temp-"));
    fs.writeFileSync(path.join(made.path, "file"), "");
    const during = fs.existsSync(made.path);
    made.remove();
    made.remove();
    return [Object.keys(made), during, fs.existsSync(made.path)];
  },
};

/** What of an error does not depend on which of Node's two implementations of cp has thrown it. */
function failure(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

function globs(dir: string, pattern: unknown, options: object): unknown {
  if (!fs.globSync) return "not in this Node";
  return (fs.globSync(pattern, { cwd: dir, ...options }) as string[]).sort();
}

function makeDir(): string {
  const dir = mkdtempSync(path.join(tmpdir(), "runtime-fs-"));
  nodeFs.writeFileSync(path.join(dir, "file"), "content");
  nodeFs.mkdirSync(path.join(dir, "sub"));
  nodeFs.writeFileSync(path.join(dir, "sub", "inner"), "");
  nodeFs.symlinkSync(path.join(dir, "file"), path.join(dir, "link"));
  return dir;
}

/** What a call comes to, with the directory's own name taken out. */
function outcome(call: Call, dir: string): unknown {
  const plain = (text: string) => text.replaceAll(dir, "DIR");
  try {
    return { value: call(dir) };
  } catch (error) {
    const {
      name,
      message,
      code,
      errno,
      syscall,
      path: file,
      dest,
    } = error as NodeJS.ErrnoException & { dest?: string };
    return {
      name,
      message: plain(message),
      code,
      errno,
      syscall,
      path: file && plain(file),
      dest: dest && plain(dest),
    };
  }
}

describeFibers("fs in a fiber", () => {
  let dir: string;
  beforeEach(() => {
    dir = makeDir();
  });
  afterEach(() => {
    unpatch({ fs: true });
    rmSync(dir, { recursive: true, force: true });
  });

  it.each(Object.keys(calls))("%s comes to the same as with Node's own", async (name) => {
    const call = calls[name] as Call;
    unpatch();
    const other = makeDir();
    const expected = outcome(call, other);
    rmSync(other, { recursive: true, force: true });
    patch();
    expect(await spawn(() => outcome(call, dir))).toEqual(expected);
  });

  it("keeps the hub free: another fiber runs while one is inside", async () => {
    patch();
    fs.writeFileSync(path.join(dir, "large"), Buffer.alloc(1_000_000)); // the page cache is not asked for so much
    const targets = {
      readFileSync: "large",
      statSync: "file",
      readdirSync: "",
      existsSync: "never asked",
      openSync: "file",
    };
    for (const [name, file] of Object.entries(targets)) {
      const order: string[] = [];
      const target = path.join(dir, file);
      const first = spawn(() => {
        const result = (fs[name] as (target: string) => unknown)(target);
        if (name === "openSync") fs.closeSync(result as number);
        order.push(name);
      });
      const second = spawn(() => order.push("other"));
      await Promise.all([first, second]);
      expect(order).toEqual(["other", name]);
    }
  });

  it("does not suspend for what the page cache can answer at once", async () => {
    if (process.platform !== "linux") return console.log("page cache: skipped, only Linux can tell what is in it");
    patch();
    const file = path.join(dir, "file");
    nodeFs.readFileSync(file);
    const fd = nodeFs.openSync(file);
    const answers: Record<string, () => unknown> = {
      readFileSync: () => fs.readFileSync(file, "utf8"),
      existsSync: () => fs.existsSync(file),
      readSync: () => fs.readSync(fd, Buffer.alloc(7), 0, 7, 0),
      "readSync up to the end": () => fs.readSync(fd, Buffer.alloc(100), 0, 100, 3),
    };
    for (const [name, answer] of Object.entries(answers)) {
      const order: string[] = [];
      const first = spawn(() => {
        answer();
        order.push(name);
      });
      await Promise.all([first, spawn(() => order.push("other"))]);
      expect(order).toEqual([name, "other"]);
    }
    nodeFs.closeSync(fd);
  });

  it("opens nothing but plain files to see whether they can be read at once", async () => {
    patch();
    const fifo = path.join(dir, "fifo");
    execFileSync("mkfifo", [fifo]);
    // A writer that is let go only by a reader. There is one when the read has been handed to the pool.
    const writer = spawnProcess("sh", ["-c", 'printf written > "$0"', fifo]);
    const exit = new Promise((resolve) => writer.once("exit", resolve));
    expect(await spawn(() => fs.readFileSync(fifo, "utf8"))).toBe("written");
    expect(await exit).toBe(0);
  });

  it("reads nothing that Node's permission model forbids", async () => {
    const major = Number.parseInt(process.versions.node, 10);
    const root = path.join(__dirname, "..", "..");
    const program = `
      const { spawn } = require("runtime");
      require("runtime/patch");
      spawn(() => require("node:fs").readFileSync("/etc/hosts")).then(() => console.log("read"), ({ code }) => console.log(code));`;
    const flags = [
      major >= 24 ? "--permission" : "--experimental-permission",
      "--allow-addons",
      "--allow-worker",
      `--allow-fs-read=${root}/*`,
      `--allow-fs-read=${nodeFs.realpathSync(path.join(root, "node_modules"))}/*`,
      `--allow-fs-read=${tmpdir()}/*`,
    ];
    expect((await run(program, { flags })).stdout).toBe("ERR_ACCESS_DENIED\n");
  });

  it("does not suspend in console.log to a file: a fiber that is killed does not break it for others", async () => {
    const program = `
      const { closeSync, openSync, readFileSync } = require("node:fs");
      closeSync(1);
      const file = __filename + ".log";
      openSync(file, "w"); // gets the number that is free: standard output
      require("runtime/patch");
      const { sleep, spawn } = require("runtime");
      const fiber = spawn(() => {
        console.log("in the fiber");
        sleep(1e8);
      });
      setImmediate(() => {
        fiber.kill();
        console.log("on the hub");
        console.error(readFileSync(file, "utf8"));
      });`;
    expect((await run(program)).stderr).toBe("in the fiber\non the hub\n\n");
  });

  it("shows the fiber's own frames in an error's stack", async () => {
    patch();
    const error = await spawn(function reader() {
      try {
        return fs.readFileSync(path.join(dir, "none"));
      } catch (caught) {
        return caught as Error;
      }
    });
    expect((error as Error).stack).toMatch(/^Error: ENOENT: no such file or directory, open/);
    expect((error as Error).stack).toContain("reader");
  });

  it("closes a file that was being opened when its fiber was killed", async () => {
    patch();
    const open = () => nodeFs.readdirSync("/proc/self/fd").length;
    const before = open();
    for (let i = 0; i < 20; i++) {
      const fiber = spawn(() => fs.openSync(path.join(dir, "file")));
      const killer = spawn(() => fiber.kill());
      await killer;
      expect(fiber.dead).toBe(true);
    }
    await new Promise((resolve) => nodeFs.stat(dir, resolve)); // behind the opens and closes in the pool
    await expect.poll(open).toBeLessThanOrEqual(before);
  });

  it("stops reading a large file when its fiber times out", async () => {
    patch();
    const fifo = path.join(dir, "fifo");
    execFileSync("mkfifo", [fifo]);
    const keep = nodeFs.openSync(fifo, nodeFs.constants.O_RDWR); // a writer that never writes
    const result = await spawn(() => withTimeout(20, () => fs.readFileSync(fifo), "too late"));
    expect(result).toBe("too late");
    nodeFs.writeSync(keep, "x"); // lets the read that is under way in the pool go
    nodeFs.closeSync(keep);
  });

  it("lets a kill through existsSync, and does not take it for a missing file", async () => {
    patch();
    let unwound = false;
    const fiber = spawn(() => {
      try {
        fs.existsSync(path.join(dir, "never asked"));
      } finally {
        unwound = true;
      }
      return "went on";
    });
    await spawn(() => fiber.kill());
    expect(unwound).toBe(true);
    expect(fiber.value).not.toBe("went on");
  });

  it("lets whatever is thrown in through existsSync, also an error with a code", async () => {
    patch();
    const controller = new AbortController();
    const ask = (name: string) => fs.existsSync(path.join(dir, name));
    const aborted = spawn(() => withTimeout(controller.signal, () => ask("never asked"), "aborted"));
    const thrownInto = spawn(() => ask("never asked either"));
    thrownInto.then(null, () => {});
    await spawn(() => {
      controller.abort();
      thrownInto.throw(Object.assign(new Error("thrown in"), { code: "ENOENT" }));
    });
    expect(await aborted).toBe("aborted");
    await expect(thrownInto).rejects.toThrow("thrown in");
  });
});

describe("fs out of a fiber", () => {
  beforeAll(() => patch());
  afterAll(() => unpatch());

  it("is Node's own", () => {
    const dir = makeDir();
    expect(fs.readFileSync(path.join(dir, "file"), "utf8")).toBe("content");
    expect(() => fs.statSync(path.join(dir, "none"))).toThrow(/ENOENT/);
    rmSync(dir, { recursive: true });
  });

  it("keeps the name, length and properties of every function", () => {
    for (const name of Object.keys(nodeFs).filter((key) => key.endsWith("Sync") && fs[key])) {
      const before = original("fs", name) as { name: string; length: number };
      const now = fs[name] as unknown as { name: string; length: number };
      expect([now.name, now.length], name).toEqual([before.name, before.length]);
      const own = (fn: object) =>
        Reflect.ownKeys(fn)
          .filter((key) => key !== "prototype")
          .sort(); // no constructor
      expect(own(now), name).toEqual(own(before));
    }
  });
});

describeFibers("a path with a null byte", () => {
  it.each(["a string", "bytes", "a URL"])("names no file, as %s: it is not cut there", async (kind) => {
    const directory = mkdtempSync(path.join(tmpdir(), "runtime-fs-"));
    nodeFs.writeFileSync(path.join(directory, "file"), "secret");
    const text = path.join(directory, "file\0.txt");
    const file =
      kind === "a string" ? text : kind === "bytes" ? Buffer.from(text) : new URL(`file://${directory}/file%00.txt`);
    const calls: (() => unknown)[] = [
      () => nodeFs.readFileSync(file),
      () => nodeFs.writeFileSync(file, "x"),
      () => nodeFs.appendFileSync(file, "x"),
      () => nodeFs.mkdirSync(file, { recursive: true }),
      () => nodeFs.rmSync(file, { recursive: true }),
      () => nodeFs.cpSync(path.join(directory, "file"), file as string),
      () => nodeFs.openSync(file, "r"),
      () => nodeFs.opendirSync(file as string),
    ];
    patch();
    try {
      await spawn(() => {
        for (const call of calls) {
          expect(call, String(call)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_VALUE" }));
        }
        expect(nodeFs.existsSync(file)).toBe(false);
      });
    } finally {
      unpatch();
    }
    expect(nodeFs.readdirSync(directory)).toEqual(["file"]);
    expect(nodeFs.readFileSync(path.join(directory, "file"), "utf8")).toBe("secret");
    rmSync(directory, { recursive: true });
  });
});

itFibers("a program whose Error is frozen writes as any other, and may look at its stack as it likes", async () => {
  const program = `
    require("runtime/patch");
    const { spawn } = require("runtime");
    const fs = require("node:fs");
    const fd = fs.openSync("/dev/null", "w");
    const own = () => "own";
    const before = Error.prepareStackTrace;
    spawn(() => {
      fs.writeSync(fd, "x");
      console.log(Error.prepareStackTrace === before, Error.stackTraceLimit);
      Error.prepareStackTrace = own;
      fs.writeSync(fd, "x");
      console.log(Error.prepareStackTrace === own);
      Object.freeze(Error);
      console.log(fs.writeSync(fd, "xy"));
    });`;
  const { stdout, stderr } = await run(program, { flags: ["--stack-trace-limit=7"] });
  expect([stdout, stderr]).toEqual(["true 7\ntrue\n2\n", ""]);
});
