import { execFileSync } from "node:child_process";
import fs, { mkdtempSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { createContext, runInContext } from "node:vm";
import { Fiber, isPatched, original, patch, sleep, spawn, unpatch } from "runtime";
import { afterEach, describe, expect, it, vi } from "vitest";
import { itFibers } from "../support/fibers";
import { run as runProgram } from "../support/run";
import { describeFibers } from "./support";

afterEach(() => unpatch());

const run = (...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: path.join(__dirname, "..", ".."), encoding: "utf8", stdio: "pipe" });

describe("patch()", () => {
  it("is idempotent", () => {
    patch();
    const once = fs.readFileSync;
    patch();
    expect(fs.readFileSync).toBe(once);
  });

  it("patches only what is chosen", () => {
    patch({ fs: false });
    expect([isPatched("fs"), isPatched("http")]).toEqual([false, true]);
    patch({ fs: true });
    expect(isPatched("fs")).toBe(true);
  });

  itFibers("leaves alone what others have put in the place of Node's functions, which may do more", async () => {
    const program = `
      const fs = require("node:fs"), zlib = require("node:zlib"), childProcess = require("node:child_process");
      for (const [module, name] of [[fs, "readFileSync"], [zlib, "gzipSync"], [childProcess, "execFileSync"], [fs, "closeSync"]]) {
        const node = module[name];
        module[name] = (first, ...rest) => first === "in an archive" ? name : node(first, ...rest);
      }
      const { patch, spawn } = require("runtime");
      patch();
      spawn(() => {
        console.log(fs.readFileSync("in an archive"), zlib.gzipSync("in an archive"), childProcess.execFileSync("in an archive"));
        console.log(fs.closeSync("in an archive"), fs.readFileSync(__filename, "utf8").length > 100, fs.existsSync(__filename));
      });`;
    const { stdout } = await runProgram(program);
    expect(stdout).toBe("readFileSync gzipSync execFileSync\ncloseSync true true\n");
  });

  it("hands out what it replaced", () => {
    const before = fs.readFileSync;
    expect(original("fs", "readFileSync")).toBe(before);
    patch();
    expect(fs.readFileSync).not.toBe(before);
    expect(original("fs", "readFileSync")).toBe(before);
    expect(original("http", "getSync")).toBeUndefined();
  });

  it("is taken back by unpatch(), to the last property", () => {
    const before = Object.getOwnPropertyDescriptors(fs);
    const added = Object.keys(require("node:timers"));
    patch();
    unpatch();
    expect(Object.getOwnPropertyDescriptors(fs)).toEqual(before);
    expect(Object.keys(require("node:timers"))).toEqual(added);
  });

  it("reaches modules that imported a function by name", () => {
    const before = readFileSync;
    patch();
    expect(readFileSync).not.toBe(before);
  });

  it("names the option that is wrong", () => {
    expect(() => patch({ nonsense: true })).toThrow(/"options.nonsense"/);
    expect(() => patch({ fs: "yes" as never })).toThrow(/"options.fs"/);
    expect(() => patch(1 as never)).toThrow(/"options"/);
    expect(() => isPatched("nonsense")).toThrow(/"name"/);
    expect(() => original("nonsense", "x")).toThrow(/"name"/);
  });
});

describe("a patch that is preloaded", () => {
  it("leaves module hooks alone, for which Node starts a thread that preloads it, too", async () => {
    const files = {
      "register.mjs": `import { register } from "node:module"; register("./hooks.mjs", import.meta.url);`,
      "hooks.mjs": `
        export const resolve = (specifier, context, next) =>
          next(specifier === "by-hook" ? new URL("./hooked.mjs", import.meta.url).href : specifier, context);`,
      "hooked.mjs": `export default "hooked";`,
    };
    const program = `
      import hooked from "by-hook";
      import { isPatched } from "runtime";
      console.log(hooked, isPatched("fs"));`;
    const flags = ["--no-warnings", "--require", "runtime/patch", "--import", "./register.mjs"];
    const { code, stdout } = await runProgram(program, { name: "program.mjs", files, flags });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "hooked true\n" });
  });
});

describe("patch() and unpatch() around each test", () => {
  const nodes = { readFileSync: fs.readFileSync, setTimeout: globalThis.setTimeout, descriptors: allDescriptors() };

  function allDescriptors() {
    const modules = ["fs", "net", "http", "stream", "timers", "child_process", "events"].map((name) => require(name));
    const targets = [...modules, ...modules.flatMap((module) => Object.values(module)), globalThis.MessagePort];
    const seen = targets.flatMap((target) => [target, target?.prototype]).filter((one) => Object(one) === one);
    return [...new Set(seen)].map((target) => Object.getOwnPropertyDescriptors(target));
  }

  it("make the same functions every time, and leave nothing behind", () => {
    patch();
    const made = [fs.readFileSync, setTimeout, require("node:net").Server.prototype.emit, http.getSync];
    unpatch();
    for (let i = 0; i < 5; i++) {
      patch();
      expect([fs.readFileSync, setTimeout, require("node:net").Server.prototype.emit]).toEqual(made.slice(0, 3));
      expect(original("fs", "readFileSync")).toBe(nodes.readFileSync);
      expect(original("timers", "setTimeout")).toBe(nodes.setTimeout);
      expect([isPatched("fs"), isPatched("timers")]).toEqual([true, true]);
      unpatch();
      expect([isPatched("fs"), isPatched("timers")]).toEqual([false, false]);
      expect(original("fs", "readFileSync")).toBe(nodes.readFileSync);
      expect(allDescriptors()).toEqual(nodes.descriptors);
    }
  });

  it("keep one hub, though modules are loaded anew", async () => {
    for (let i = 0; i < 3; i++) {
      vi.resetModules();
      const dist = path.join(__dirname, "..", "..", "dist") + path.sep;
      for (const file of Object.keys(require.cache)) if (file.startsWith(dist)) delete require.cache[file];
      const required = require("runtime");
      const imported = await import("runtime");
      expect([required.spawn === spawn, imported.spawn === spawn]).toEqual([true, true]);
      required.patch();
      expect(isPatched("fs")).toBe(true);
      const made = fs.readFileSync;
      require("runtime/patch");
      expect(fs.readFileSync).toBe(made);
      imported.unpatch();
      expect(fs.readFileSync).toBe(nodes.readFileSync);
    }
  });

  it("keep one hub in other realms, as in each test file of jest", () => {
    const dist = path.join(__dirname, "..", "..", "dist");
    const sandbox = createContext({});
    const load = (name: string) => {
      const file = path.join(dist, name);
      const source = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(file, "utf8")}\n})`;
      const module = { exports: {} as { spawn?: unknown } };
      runInContext(source, sandbox)(module.exports, createRequire(file), module, file, dist);
      return module.exports;
    };
    expect(load("index.js").spawn).toBe(spawn);
    load("patch.js");
    expect(isPatched("fs")).toBe(true);
  });

  it("give modules that are loaded in between what holds at that time", () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), "runtime-between-")), "module.js");
    fs.writeFileSync(file, `exports.readFileSync = require("fs").readFileSync`);
    const load = () => {
      delete require.cache[file];
      return require(file).readFileSync;
    };
    expect(load()).toBe(nodes.readFileSync);
    patch();
    const patched = load();
    expect(patched).toBe(fs.readFileSync);
    unpatch();
    expect(load()).toBe(nodes.readFileSync);
    expect(patched(file, "utf8")).toContain("exports"); // what has captured it keeps it
    patch();
    expect(load()).toBe(patched);
  });

  it("leave what others have put over a patched function, and patch nothing twice when they have gone", () => {
    for (let i = 0; i < 3; i++) {
      patch();
      const ours = fs.existsSync;
      const calls: unknown[] = [];
      fs.existsSync = (file) => {
        calls.push(file);
        return ours(file);
      };
      const theirs = fs.existsSync;
      unpatch();
      expect([isPatched("fs"), fs.existsSync]).toEqual([false, theirs]);
      expect([fs.existsSync("/"), calls]).toEqual([true, ["/"]]);
      expect(fs.readFileSync).toBe(nodes.readFileSync);
      fs.existsSync = ours; // they restore what they have found
      patch();
      expect([isPatched("fs"), fs.existsSync]).toEqual([true, ours]);
      expect(original("fs", "existsSync")).not.toBe(ours);
      unpatch();
      expect(allDescriptors()).toEqual(nodes.descriptors);
    }
  });

  it("patch over what others have put there, and give that back", () => {
    const spy = vi.spyOn(fs, "existsSync").mockReturnValue(true);
    const theirs = fs.existsSync;
    patch();
    expect(fs.existsSync).not.toBe(theirs);
    expect(original("fs", "existsSync")).toBe(theirs);
    expect(fs.existsSync("/no/such/file")).toBe(true);
    unpatch();
    expect(fs.existsSync).toBe(theirs);
    spy.mockRestore();
    expect(allDescriptors()).toEqual(nodes.descriptors);
  });

  it("live with added functions that others have covered or removed", () => {
    patch();
    const { getSync } = http;
    http.getSync = () => "theirs" as never;
    delete (http as Partial<typeof http>).requestSync;
    unpatch();
    expect(http.getSync("")).toBe("theirs");
    http.getSync = getSync;
    patch();
    expect([http.getSync, typeof http.requestSync]).toEqual([getSync, "function"]);
    unpatch();
    expect(["getSync" in http, "requestSync" in http]).toEqual([false, false]);
  });
});

describeFibers("timers that are faked", () => {
  const nodes = globalThis.setTimeout;
  const fake = () => vi.useFakeTimers({ toFake: ["setTimeout", "setInterval", "setImmediate"] });
  afterEach(() => vi.useRealTimers());

  it("after the patch: fibers keep to the real ones, and all is restored in whatever order", async () => {
    for (let i = 0; i < 3; i++) {
      patch();
      const ours = setTimeout;
      fake();
      const fiber = spawn(() => {
        sleep(1);
        return "slept";
      });
      expect(await fiber).toBe("slept");
      let called = false;
      setTimeout(() => {
        called = true;
      }, 60_000);
      vi.advanceTimersByTime(60_000);
      expect(called).toBe(true);
      if (i === 0) {
        unpatch();
        vi.useRealTimers();
        expect([setTimeout, isPatched("timers")]).toEqual([ours, false]);
        patch();
      } else {
        vi.useRealTimers();
      }
      expect(setTimeout).toBe(ours);
      expect(require("node:timers").setTimeout).toBe(ours);
      unpatch();
      expect([setTimeout, require("node:timers").setTimeout]).toEqual([nodes, nodes]);
    }
  });

  it("before the patch: their callbacks start in fibers, too", async () => {
    fake();
    const theirs = setTimeout;
    patch();
    const where: boolean[] = [];
    setTimeout(() => {
      sleep(0);
      where.push(Fiber.current !== null);
    }, 60_000);
    vi.advanceTimersByTime(60_000);
    await spawn(() => sleep(1));
    expect(where).toEqual([true]);
    unpatch();
    expect(setTimeout).toBe(theirs);
    vi.useRealTimers();
    expect(setTimeout).toBe(nodes);
  });
});

describe("importing runtime/patch", () => {
  const show = `console.log(require("node:fs").readFileSync === require("runtime").original("fs", "readFileSync"))`;

  it("patches, by require", () => {
    expect(run("-e", `require("runtime/patch"); ${show}`)).toBe("false\n");
    expect(run("-r", "runtime/patch", "-e", show)).toBe("false\n");
  });

  it("patches, by import, also what the same module imports by name", () => {
    const program = `import "runtime/patch"; import { readFileSync } from "node:fs"; import { original, spawn } from "runtime";
      console.log(readFileSync === original("fs", "readFileSync"), typeof spawn)`;
    expect(run("--input-type=module", "-e", program)).toBe("false function\n");
    expect(run("--import", "runtime/patch", "-e", show)).toBe("false\n");
  });

  it("warns of modules that were loaded before it", () => {
    const early = path.join(mkdtempSync(path.join(tmpdir(), "runtime-late-")), "early.js");
    fs.writeFileSync(early, "");
    const late = `require(${JSON.stringify(early)}); process.on("warning", (w) => console.log(w.code)); require("runtime/patch")`;
    expect(run("--no-warnings", "-e", late)).toBe("RUNTIME_LATE_PATCH\n");
    expect(run("--no-warnings", "-e", `process.on("warning", console.log); require("runtime/patch")`)).toBe("");
  });

  it("warns of what others have put among loaded modules, whatever that is", () => {
    const late = `Object.assign(require.cache, { "/odd.js": { loaded: true }, "/none.js": undefined });
      process.on("warning", (w) => console.log(w.message.split(":")[0])); require("runtime/patch")`;
    expect(run("--no-warnings", "-e", late)).toBe("runtime/patch was loaded after /odd.js\n");
  });

  it("leaves Node as it is out of fibers: same results, same errors, same order of events", () => {
    const program = `
      const fs = require("node:fs"), http = require("node:http");
      const log = [];
      process.nextTick(() => log.push("tick")); Promise.resolve().then(() => log.push("promise"));
      setImmediate(() => log.push("immediate")); log.push(fs.existsSync("/none"));
      try { fs.readFileSync("/none") } catch (error) { log.push(error.message) }
      const server = http.createServer((req, res) => { log.push("request"); res.end("x"); log.push("ended"); });
      server.on("connection", () => log.push("connection")).on("close", () => { log.push("close"); console.log(JSON.stringify(log)); });
      server.listen(0, () => http.get({ port: server.address().port, agent: false }, (res) => {
        log.push("response"); res.on("data", () => log.push("data")).on("end", () => { log.push("end"); server.close(); });
      }));`;
    expect(run("-r", "runtime/patch", "-e", program)).toBe(run("-e", program));
  });
});
