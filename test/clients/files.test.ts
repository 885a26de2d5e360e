// graceful-fs and fs-extra, loaded after the patch.
import "runtime/patch";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import extra from "fs-extra";
import graceful from "graceful-fs";
import { isPatched, original, patch, sleep, spawn, unpatch } from "runtime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { atOnce } from "../support/web";

describeFibers("graceful-fs and fs-extra", () => {
  let directory: string;

  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(tmpdir(), "runtime-files-"));
  });

  afterEach(() => fs.rmSync(directory, { recursive: true }));

  /** Runs `write` in a fiber; how many turns another fiber takes meanwhile. */
  const turnsDuring = async (write: () => void) => {
    let turns = 0;
    const writing = spawn(write);
    const other = spawn(() => {
      while (!writing.dead) {
        turns++;
        sleep(0);
      }
    });
    await writing;
    await other;
    return turns;
  };

  it("have functions that suspend the fiber that calls them", async () => {
    const file = path.join(directory, "deep", "file.json");
    const turns = await turnsDuring(() => {
      extra.outputJsonSync(file, { a: [1] });
      expect(extra.readJsonSync(file)).toEqual({ a: [1] });
      extra.copySync(path.dirname(file), path.join(directory, "copy"));
      extra.moveSync(path.join(directory, "copy"), path.join(directory, "moved"));
      extra.ensureFileSync(path.join(directory, "a", "b", "c"));
      extra.emptyDirSync(path.join(directory, "a"));
      extra.removeSync(path.join(directory, "deep"));
    });
    expect(turns).toBeGreaterThan(5);
    expect(fs.readdirSync(directory).sort()).toEqual(["a", "moved"]);
    expect(fs.readdirSync(path.join(directory, "a"))).toEqual([]);
    const more = await turnsDuring(() => {
      for (let i = 0; i < 5; i++) graceful.writeFileSync(path.join(directory, "file"), `${i}`);
      expect(graceful.readFileSync(path.join(directory, "file"), "utf8")).toBe("4");
    });
    expect(more).toBeGreaterThan(1);
  });

  it("work for many fibers at once, and throw their errors there", async () => {
    let [inside, most] = [0, 0];
    const results = await atOnce(50, async (i) =>
      spawn(() => {
        const file = path.join(directory, `${i}`, "file.json");
        most = Math.max(most, ++inside);
        extra.outputJsonSync(file, { i });
        inside--;
        try {
          return extra.readJsonSync(i % 2 ? file : `${file}.not`);
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      }),
    );
    expect(results).toEqual(Array.from({ length: 50 }, (_, i) => (i % 2 ? { i } : "ENOENT")));
    expect(most).toBeGreaterThan(10);
  });

  it("gracefulify puts its functions over the patched ones, and unpatch leaves them there", async () => {
    const before = Object.getOwnPropertyDescriptors(fs);
    const patched = fs.readFile;
    graceful.gracefulify(fs);
    expect(fs.readFile).not.toBe(patched);
    const theirs = fs.readFile;
    const file = path.join(directory, "file");
    expect(await turnsDuring(() => fs.writeFileSync(file, "text"))).toBeGreaterThan(0);
    unpatch();
    expect([fs.readFile, isPatched("fs")]).toEqual([theirs, false]);
    expect(fs.readFileSync).not.toBe(before.readFileSync.value);
    expect(fs.readFileSync(file, "utf8")).toBe("text");
    const content = await new Promise((resolve, reject) => {
      fs.readFile(file, "utf8", (error, text) => (error ? reject(error) : resolve(text)));
    });
    expect(content).toBe("text");
    patch();
    expect([fs.readFileSync, isPatched("fs")]).toEqual([before.readFileSync.value, true]);
    expect(original("fs", "readFileSync")).not.toBe(fs.readFileSync);
    expect(await turnsDuring(() => fs.writeFileSync(file, "text"))).toBeGreaterThan(0);
  });
});
