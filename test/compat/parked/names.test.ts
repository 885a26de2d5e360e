import fs from "node:fs";
import path from "node:path";
import "runtime/patch";
import { describe, expect, test } from "vitest";
import { run } from "../../support/run";

const page = fs.readFileSync(path.join(__dirname, "../../../docs/parked.md"), "utf8");

/** The first column of the page's table. */
const listed = page.split("\n").flatMap((line) => {
  const [, names] = line.split("|");
  return [...(names ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);
});

function isListed(module: string, name: string): boolean {
  const own = name.split(/[.#]/).at(-1) as string;
  return listed.some((one) => {
    const pattern = one.split(/[.#]/).at(-1)?.replace("*", ".*") as string;
    const whole = one.includes(".") ? one.split(".")[0] === module : true;
    return whole && new RegExp(`^${pattern}$`).test(own);
  });
}

describe("docs/parked.md", () => {
  test("says of each added name what it does out of a fiber", async () => {
    const { stdout } = await run(`
      require("node:http2");
      void Response;
      const runtime = require("runtime");
      runtime.patch();
      console.log(JSON.stringify(runtime.patchedNames().filter(({ status }) => status === "added" || status === "node")));`);
    const added = JSON.parse(stdout) as { module: string; name: string }[];
    expect(added.length).toBeGreaterThan(50);
    expect(added.filter(({ module, name }) => !isListed(module, name))).toEqual([]);
  });
});
