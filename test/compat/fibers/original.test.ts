// The tests of the package fibers itself, from its npm release, run against ours.
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { printing, run } from "../../support/run";
import { describeWithPackages } from "./support";

await describeWithPackages("fibers 5, its own tests", "fibers-5", { fibers: "5.0.3" }, (modules) => {
  const original = path.join(modules, "fibers");
  const folder = path.join(original, "test");
  const files = existsSync(folder) ? readdirSync(folder) : [];

  it("are all there", () => {
    expect(files.length).toBe(19);
  });

  for (const file of files) {
    const retry = file === "cleanup.js" ? 3 : 0; // it compares durations
    it(file, { retry }, async () => {
      // As its own runner has it, but for the patch; NODE_PATH is for require("future").
      const env = { NODE_PATH: original, NODE_OPTIONS: "--require runtime/patch" };
      expect(await run("", { flags: [path.join(folder, file)], env })).toEqual(printing("pass"));
    });
  }
});

const forks = { "@sap/fibers": "5.0.0-0", fibers_node_v8: "3.1.5" };

await describeWithPackages("forks of fibers", "fibers-forks", forks, (modules) => {
  it.each(Object.keys(forks))("%s hands out ours, under the patch", async (name) => {
    const program = `
      const installed = (name) => require(${JSON.stringify(`${modules}/`)} + name);
      const Future = installed("${name}/future");
      Future.task(() => Future.fromPromise(Promise.resolve("waited")).wait()).resolve((error, text) => {
        console.log(installed("${name}") === require("runtime/fibers"), text);
      });`;
    expect(await run(program, { flags: ["--require", "runtime/patch"] })).toEqual(printing("true waited"));
  });
});
