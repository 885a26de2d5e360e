// Tools that need fibers, or use them where they are there.
import path from "node:path";
import { expect, it } from "vitest";
import { printing, run } from "../../support/run";
import { describeWithPackages } from "./support";

const flags = ["--no-deprecation", "--require", "runtime/patch"];

const compiler = { "css-loader": "^5.2.7", "sass-loader": "^8.0.2", sass: "~1.32.13", webpack: "^5.107.0" };

await describeWithPackages("sass-loader 8, in webpack", "sass-loader-8", compiler, (modules) => {
  it("finds fibers by itself, and has sass use them", async () => {
    const program = `
      const Fiber = require("fibers");
      const installed = require("node:module").createRequire(${JSON.stringify(modules)});
      let inFiber = 0;
      const { render } = installed("sass");
      installed("sass").render = (options, callback) => {
        const { importer } = options;
        options.importer = function (...args) { if (Fiber.current) inFiber++; return importer[0].apply(this, args); };
        return render(options, callback);
      };
      installed("webpack")({
        mode: "production",
        context: __dirname,
        entry: "./index.js",
        output: { path: __dirname, filename: "out.js" },
        resolveLoader: { modules: [${JSON.stringify(modules)}] },
        resolve: { modules: [${JSON.stringify(modules)}] },
        target: "node",
        module: { rules: [{ test: /\\.scss$/, use: ["css-loader", "sass-loader"] }] },
      }, (error, stats) => {
        console.log(error, stats.hasErrors() ? stats.toString() : "compiled", inFiber > 0);
        require("./out.js");
      });`;
    const files = {
      "index.js": `console.log(String(require("./a.scss").default).trim());`,
      "a.scss": `@import "b"; a { b: 1px + 1px; }`,
      "b.scss": "c { d: e; }",
    };
    expect(await run(program, { flags, files })).toEqual(printing("null compiled true", "c{d:e}a{b:2px}"));
  });
});

await describeWithPackages("flightplan", "flightplan", { flightplan: "0.6.20" }, (modules) => {
  it("runs commands one after the other, and ends with the first that fails", async () => {
    const plan = `
      const plan = require(${JSON.stringify(path.join(modules, "flightplan"))});
      const say = (...words) => console.log("said: " + words.join(" "));
      plan.target("here", { host: "localhost" });
      plan.local((local) => {
        say(local.exec("echo hello").stdout.trim(), local.exec("exit 3", { failsafe: true }).code);
        local.with("cd /", () => say(local.exec("pwd").stdout.trim()));
        local.exec("exit 4");
        say("not reached");
      });
      plan.local(() => say("not reached"));
      plan.run("default", "here", {}); // as its command does
      say("begun");`;
    const { code, stdout } = await run(plan, { flags });
    expect([code, [...stdout.matchAll(/said: (.*)/g)].map(([, text]) => text)]).toEqual([1, ["begun", "hello 3", "/"]]);
  });
});
