// Modules that are loaded in fibers: evaluated once, never seen half-loaded.
import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const slow = `
  console.log("evaluated");
  exports.loading = true;
  require("runtime").sleep(2);
  exports.loaded = true;`;

/** Suspended until `open()` is called. */
const gated = `
  console.log("evaluated");
  require("runtime").wait(new Promise((open) => { globalThis.open = open; }));
  exports.loaded = true;`;

const fails = (what: string) => `
  console.log("evaluated");
  require("runtime").sleep(2);
  ${what}`;

describeFibers("require() in a fiber", () => {
  it("lets the module's top-level code suspend, while others run", async () => {
    const program = `
      const { spawn } = require("runtime");
      spawn(() => console.log(require("./slow.cjs").loaded));
      spawn(() => console.log("other"));`;
    expect(await run(program, { files: { "slow.cjs": slow } })).toEqual(printing("evaluated", "other", "true"));
  });

  it("evaluates a module once, and all who require it meanwhile wait until it is loaded", async () => {
    const program = `
      const { spawn } = require("runtime");
      for (let i = 0; i < 3; i++) spawn(() => console.log(require("./slow.cjs").loaded));`;
    const expected = printing("evaluated", "true", "true", "true");
    expect(await run(program, { files: { "slow.cjs": slow } })).toEqual(expected);
  });

  it("does so however it is asked for: through another module, createRequire, and with hooks", async () => {
    const program = `
      const { spawn } = require("runtime");
      const Module = require("node:module");
      const resolve = Module._resolveFilename;
      Module._resolveFilename = (request, ...rest) =>
        resolve(request === "by-hook" ? __dirname + "/slow.cjs" : request, ...rest);
      const load = require.extensions[".cjs"] ?? require.extensions[".js"];
      require.extensions[".own"] = (module, filename) => { require("runtime").sleep(1); load(module, filename); };
      spawn(() => console.log(require("./outer.cjs").loaded));
      spawn(() => console.log(Module.createRequire(__filename)("./slow.cjs").loaded));
      spawn(() => console.log(require("by-hook").loaded));
      spawn(() => console.log(require("./file.own").own));
      spawn(() => console.log(require("./file.own").own));
      spawn(() => console.log(require("./data.json").json));`;
    const files = {
      "slow.cjs": slow,
      "outer.cjs": `module.exports = require("./slow.cjs");`,
      "file.own": `console.log("evaluated"); exports.own = "own";`,
      "data.json": `{ "json": "json" }`,
    };
    const { stdout, ...rest } = await run(program, { files });
    const expected = ["evaluated", "evaluated", "json", "own", "own", "true", "true", "true"];
    expect({ ...rest, lines: stdout.trim().split("\n").sort() }).toEqual({
      code: 0,
      signal: null,
      stderr: "",
      lines: expected,
    });
  });

  it("loads modules whose exports cannot be set, in a fiber and out of one", async () => {
    const fixed = `Object.defineProperty(module, "exports", { get: () => "computed" });`;
    const program = `
      const { spawn } = require("runtime");
      console.log(require("./a.cjs"));
      spawn(() => console.log(require("./b.cjs")));`;
    expect(await run(program, { files: { "a.cjs": fixed, "b.cjs": fixed } })).toEqual(printing("computed", "computed"));
  });

  it("takes no module for half-loaded that one only hands on", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      spawn(() => require("./handing-on.cjs"));
      spawn(() => {
        console.log(require("events") === require("./whole.cjs"));
        console.log("handing on:", Object.values(require.cache).find((m) => m.id.includes("handing")).loaded);
      });`;
    const files = {
      "whole.cjs": `module.exports = require("events");`,
      "handing-on.cjs": `module.exports = require("./whole.cjs"); require("runtime").sleep(2);`,
    };
    expect(await run(program, { files })).toEqual(printing("true", "handing on: false"));
  });

  it("leaves Node's own functions blocking, so that other people's modules load in one go", async () => {
    const program = `
      const { patch, spawn } = require("runtime");
      patch();
      spawn(() => require("./reading.cjs"));
      spawn(() => console.log("other"));`;
    const files = {
      "reading.cjs": `
        for (let i = 0; i < 20; i++) require("node:fs").writeFileSync(__filename + ".copy", String(i));
        require("node:child_process").execFileSync(process.execPath, ["-e", "0"]);
        console.log("read");`,
    };
    expect(await run(program, { files })).toEqual(printing("read", "other"));
  });

  it("gives a cycle in one fiber what there is so far", async () => {
    const program = `require("runtime").spawn(() => console.log(require("./a.cjs").seen));`;
    const files = {
      "a.cjs": `exports.early = "early"; require("runtime").sleep(1); exports.seen = require("./b.cjs").seen;`,
      "b.cjs": `require("runtime").sleep(1); exports.seen = require("./a.cjs").early;`,
    };
    expect(await run(program, { files })).toEqual(printing("early"));
  });

  it("does the same for a cycle through two fibers, and through three: nobody waits for ever", async () => {
    const program = `
      const { joinAll, spawn } = require("runtime");
      const load = (...names) => joinAll(names.map((name) => spawn(() => console.log(name, require("./" + name).seen))));
      spawn(() => { load("a.cjs", "b.cjs"); load("c.cjs", "d.cjs", "e.cjs"); });`;
    const part = (next: string) => `
      exports.early = "early";
      require("runtime").sleep(2);
      const next = require("./${next}");
      exports.seen = next.early;`;
    const files = {
      "a.cjs": part("b.cjs"),
      "b.cjs": part("a.cjs"),
      "c.cjs": part("d.cjs"),
      "d.cjs": part("e.cjs"),
      "e.cjs": part("c.cjs"),
    };
    const { stdout, ...rest } = await run(program, { files });
    expect({ ...rest, lines: stdout.trim().split("\n").sort() }).toEqual({
      code: 0,
      signal: null,
      stderr: "",
      lines: ["a.cjs early", "b.cjs early", "c.cjs early", "d.cjs early", "e.cjs early"],
    });
  });

  it("takes no cycle for what one was a moment ago: a module that the other waited for has ended", async () => {
    const program = `
      const { spawn } = require("runtime");
      spawn(() => { require("./first.cjs"); console.log(require("./second.cjs").loaded); });
      spawn(() => require("./second.cjs"));`;
    const files = {
      "first.cjs": `require("runtime").sleep(2);`,
      "second.cjs": `require("./first.cjs"); exports.loaded = true;`,
    };
    expect(await run(program, { files })).toEqual(printing("true"));
  });

  it("evaluates a module again for the next in line when it has failed", async () => {
    const program = `
      const { spawn } = require("runtime");
      const load = () => { try { console.log(require("./fails.cjs").ok); } catch (error) { console.log(error.message); } };
      for (let i = 0; i < 3; i++) spawn(load);`;
    const files = {
      "fails.cjs": fails(
        `if (!globalThis.again) { globalThis.again = true; throw new Error("no"); } exports.ok = "ok";`,
      ),
    };
    expect(await run(program, { files })).toEqual(printing("evaluated", "no", "evaluated", "ok", "ok"));
  });

  it("removes a module from the cache when its fiber is killed, and the next in line loads it", async () => {
    const program = `
      const { spawn } = require("runtime");
      const filename = require.resolve("./slow.cjs");
      const first = spawn(() => {
        try { require("./slow.cjs"); } finally { console.log("cached:", filename in require.cache); }
      });
      spawn(() => console.log(require("./slow.cjs").loaded));
      spawn(() => first.kill());`;
    const expected = printing("evaluated", "cached: false", "evaluated", "true");
    expect(await run(program, { files: { "slow.cjs": slow } })).toEqual(expected);
  });

  it("ends the wait of a fiber that is killed or timed out, and the module is loaded all the same", async () => {
    const program = `
      const { spawn, withTimeout } = require("runtime");
      const first = spawn(() => console.log("first", require("./gated.cjs").loaded));
      const second = spawn(() => { try { require("./gated.cjs"); } finally { console.log("second gives up"); } });
      const third = spawn(() => {
        try { withTimeout(1, () => require("./gated.cjs")); } catch (error) { console.log("third:", error.name); }
      });
      spawn(() => { second.kill(); third.join(); globalThis.open(); });`;
    const expected = printing("evaluated", "second gives up", "third: Timeout", "first true");
    expect(await run(program, { files: { "gated.cjs": gated } })).toEqual(expected);
  });

  it("unwinds a fiber that nothing can resume any more in the middle of a module", async () => {
    const program = `
      const { spawn, wait } = require("runtime");
      (() => { spawn(() => require("./never.cjs")); })();
      process.on("abandoned", () => { console.log(Object.keys(require.cache).some((name) => name.includes("never"))); });
      const collect = () => { if (!globalThis.unwound) { gc(); setImmediate(collect); } };
      setImmediate(collect);`;
    const files = {
      "never.cjs": `
        try { require("runtime").wait({ then() {} }); }
        finally { globalThis.unwound = true; setImmediate(() => process.emit("abandoned")); }`,
    };
    const outcome = await run(program, { files, flags: ["--expose-gc"] });
    expect(outcome).toEqual(printing("false"));
  });

  it("refuses, with an error that says so, where nothing can wait for the module", async () => {
    const program = `
      const { spawn } = require("runtime");
      const vm = require("node:vm");
      globalThis.require = require;
      const load = (how) => { try { how(); } catch (error) { console.log(error.code, error.message.includes("gated.cjs")); } };
      spawn(function first() { console.log(require("./gated.cjs").loaded); });
      spawn(() => load(() => vm.runInThisContext('require("./gated.cjs")', { timeout: 10_000 })));
      setImmediate(() => setImmediate(() => { load(() => require("./gated.cjs")); globalThis.open(); }));`;
    const refused = "ERR_HALF_LOADED_MODULE true";
    const expected = printing("evaluated", refused, refused, "true");
    expect(await run(program, { files: { "gated.cjs": gated } })).toEqual(expected);
  });

  it("has a module warn of nothing that it lacks because another fiber has asked for it", async () => {
    const program = `
      const { spawn } = require("runtime");
      for (let i = 0; i < 2; i++) spawn(() => console.log(require("./asking.cjs").loaded));`;
    const files = { "asking.cjs": `require("runtime").sleep(2); exports.missing; exports.loaded = true;` };
    expect(await run(program, { files })).toEqual(printing("true", "true"));
  });

  it("leaves the fiber able to suspend after it, also when the module threw", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      require("runtime").patch();
      spawn(() => {
        try { require("./fails.cjs"); } catch (error) { sleep(1); console.log(error.message); }
        spawn(() => console.log("other"));
        require("node:fs").writeFileSync(__filename + ".copy", "");
        console.log("written");
      });`;
    const files = { "fails.cjs": fails(`throw new Error("of the module");`) };
    expect(await run(program, { files })).toEqual(printing("evaluated", "of the module", "other", "written"));
  });

  it("runs what a module spawns in fibers of its own", async () => {
    const program = `
      const { spawn } = require("runtime");
      spawn(() => { require("./spawning.cjs"); console.log("required"); });`;
    const files = {
      "spawning.cjs": `const { sleep, spawn } = require("runtime"); spawn(() => { sleep(1); console.log("slept"); });`,
    };
    expect(await run(program, { files })).toEqual(printing("required", "slept"));
  });

  it("does not suspend in ES modules, whose evaluation V8 cannot leave and begin anew", async () => {
    const program = `
      const { spawn } = require("runtime");
      spawn(() => console.log(require("./outer.cjs")));`;
    const esm = `
      import { sleep } from "runtime";
      let outcome = "suspended";
      try { sleep(1); } catch (error) { outcome = error.code; }
      export { outcome };`;
    const files = {
      "outer.cjs": `
        const { sleep } = require("runtime");
        sleep(1);
        module.exports = [require("./module.mjs").outcome, require("./detected.js").outcome, require("./mixed.mjs").outcome];
        sleep(1);`,
      "module.mjs": esm,
      "detected.js": esm,
      "mixed.mjs": `import inner from "./inner.cjs"; export const { outcome } = inner;`,
      "inner.cjs": `
        try { require("runtime").sleep(1); exports.outcome = "suspended"; } catch (error) { exports.outcome = error.code; }`,
    };
    const refused = "ERR_CANNOT_SUSPEND";
    const outcome = await run(program, { files, flags: ["--no-warnings"] });
    expect(outcome).toEqual(printing(`[ '${refused}', '${refused}', '${refused}' ]`));
  });
});

describeFibers("ES modules that the main module imports", () => {
  const flags = ["--no-warnings", "--require", "runtime/run"];
  const importing = (name: string) =>
    `setTimeout(() => import("./${name}").then((module) => console.log(module.default), console.log), 1);`;
  const suspending = `
      import { sleep } from "runtime";
      export let outcome = "half";
      ${importing("another.mjs")}
      sleep(50);
      outcome = "whole";`;
  const another = (name: string) => `import { outcome } from "./${name}"; export default outcome;`;

  it("suspend, and are seen half-done by what the event loop imports meanwhile", async () => {
    const files = { "another.mjs": another("module.mjs"), "module.mjs": suspending };
    const program = `import { outcome } from "./module.mjs"; console.log(outcome);`;
    expect(await run(program, { name: "program.mjs", files, flags })).toEqual(printing("half", "whole"));
  });

  it("so does the main module itself", async () => {
    const files = { "another.mjs": another("program.mjs") };
    const program = `${suspending} console.log(outcome);`;
    expect(await run(program, { name: "program.mjs", files, flags })).toEqual(printing("half", "whole"));
  });

  // To V8, CommonJS that ES modules import is a module of its own, and it aborts when it is asked to evaluate that meanwhile.
  describe("do not suspend in CommonJS", () => {
    const program = `import "./first.mjs"; import common from "./common.cjs"; console.log(common);`;
    const files = {
      "first.mjs": importing("another.mjs"),
      "another.mjs": `import common from "./common.cjs"; export default common;`,
      "common.cjs": `
        const { sleep } = require("runtime");
        try { sleep(50); module.exports = "suspended"; } catch (error) { module.exports = error.code; }`,
    };
    const refused = printing("ERR_CANNOT_SUSPEND", "ERR_CANNOT_SUSPEND");

    it("that is loaded by Node's own loader", async () => {
      expect(await run(program, { name: "program.mjs", files, flags })).toEqual(refused);
    });

    it("whose text comes from module hooks", async () => {
      const hooks = {
        "register.mjs": `import { register } from "node:module"; register("./hooks.mjs", import.meta.url);`,
        "hooks.mjs": `
          import { readFileSync } from "node:fs";
          export async function load(url, context, next) {
            const loaded = await next(url, context);
            return url.endsWith("common.cjs") ? { ...loaded, source: readFileSync(new URL(url)) } : loaded;
          }`,
      };
      const options = { name: "program.mjs", files: { ...files, ...hooks } };
      const hooked = [...flags, "--import", "./register.mjs"];
      expect(await run(program, { ...options, flags: hooked })).toEqual({ ...refused, stderr: expect.anything() });
    });

    it("that is required in it, while the main module itself has its turn", async () => {
      const required = `
        import { createRequire } from "node:module";
        console.log(createRequire(import.meta.url)("./common.cjs"));`;
      expect(await run(required, { name: "program.mjs", files, flags })).toEqual(printing("suspended"));
    });
  });
});

describeFibers("import() in a fiber", () => {
  const both = (file: string, what: string) => `
    const { spawn, wait } = require("runtime");
    const load = () => { try { console.log(wait(import("./${file}")).${what}); } catch (error) { console.log(error.message); } };
    spawn(load);
    spawn(load);`;

  it("evaluates an ES module once, also one with top-level await", async () => {
    const files = {
      "slow.mjs": `console.log("evaluated"); await new Promise((done) => setTimeout(done, 2)); export const loaded = true;`,
    };
    expect(await run(both("slow.mjs", "loaded"), { files })).toEqual(printing("evaluated", "true", "true"));
  });

  it("fails for all when the module fails: an ES module has one outcome", async () => {
    const files = { "fails.mjs": `console.log("evaluated"); await null; throw new Error("no");` };
    expect(await run(both("fails.mjs", "loaded"), { files })).toEqual(printing("evaluated", "no", "no"));
  });

  it("takes CommonJS, once with require()", async () => {
    const program = `
      const { spawn, wait } = require("runtime");
      spawn(() => console.log(require("./slow.cjs").loaded, wait(import("./slow.cjs")).default.loaded));`;
    expect(await run(program, { files: { "slow.cjs": slow } })).toEqual(printing("evaluated", "true true"));
  });

  it("goes through a program's own hooks", async () => {
    const program = `
      import { register } from "node:module";
      import { spawn, wait } from "runtime";
      register("./hooks.mjs", import.meta.url);
      for (let i = 0; i < 2; i++) spawn(() => console.log(wait(import("virtual:one")).default));`;
    const files = {
      "hooks.mjs": `
        export const resolve = (specifier, context, next) =>
          specifier === "virtual:one" ? { url: specifier, shortCircuit: true } : next(specifier, context);
        export const load = (url, context, next) =>
          url === "virtual:one"
            ? { format: "module", source: 'console.log("evaluated"); export default "one";', shortCircuit: true }
            : next(url, context);`,
    };
    const outcome = await run(program, { name: "program.mjs", files, flags: ["--no-warnings"] });
    expect(outcome).toEqual(printing("evaluated", "one", "one"));
  });
});
