// Tests of web pages in the blocking style of WebdriverIO up to its version 7, run by its own runner, as its users run them.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { hasFibers } from "../../support/fibers";
import { scratchProject } from "../../support/npm";
import { startDriver } from "../../support/webdriver";

const root = path.join(__dirname, "..", "..", "..");

interface Version {
  name: string;
  dependencies: Record<string, string>;
  runner: string[];
  protocol: "w3c" | "json-wire";
  /** What was written differently at the time. */
  spec: string;
  errors: string[];
}

const versions: Version[] = [
  {
    name: "WebdriverIO 7, with @wdio/sync",
    dependencies: {
      "@wdio/cli": "^7.40.0",
      "@wdio/local-runner": "^7.40.0",
      "@wdio/mocha-framework": "^7.40.0",
      "@wdio/sync": "7.14.1",
    },
    runner: ["@wdio/cli/bin/wdio.js", "run"],
    protocol: "w3c",
    spec: `
      it("types, clicks and reads", () => {
        browser.addCommand("shout", function () { return this.getText().toUpperCase(); }, true);
        $("input").setValue("Ada");
        const button = $("button");
        button.click();
        say(button.getText(), button.shout(), $$("li").map((item) => item.getText()));
      });
      it("fails", () => {
        say(failure(() => $("#none").click()));
        say(failure(() => $("#none").waitForExist()));
      });`,
    errors: [
      `Can't call click on element with selector "#none" because element wasn't found`,
      `element ("#none") still not existing after 20ms`,
    ],
  },
  {
    name: "WebdriverIO 4, with wdio-sync",
    dependencies: { "wdio-mocha-framework": "^0.6.4", "wdio-sync": "^0.7.3", webdriverio: "^4.14.4" },
    runner: ["webdriverio/bin/wdio"],
    protocol: "json-wire",
    spec: `
      it("types, clicks and reads", () => {
        browser.addCommand("shout", (selector) => browser.getText(selector).toUpperCase());
        browser.setValue("input", "Ada");
        browser.click("button");
        say($("button").getText(), browser.shout("button"), browser.getText("li"));
      });
      it("fails", () => {
        say(failure(() => browser.click("#none")));
        say(failure(() => browser.waitForExist("#none")));
      });`,
    errors: [
      "An element could not be located on the page using the given search parameters.",
      `element ("#none") still not existing after 20ms`,
    ],
  },
];

const say = `const say = (...words) => require("fs").appendFileSync(__dirname + "/said.txt", words.join(" ") + "\\n");`;

/** Only that each of the runner's processes is patched is new. */
const config = (port: number) => `
  ${say}
  exports.config = {
    hostname: "127.0.0.1", host: "127.0.0.1", port: ${port}, path: "/", automationProtocol: "webdriver",
    specs: [__dirname + "/spec.js"], capabilities: [{ browserName: "chrome" }], runner: "local", sync: true,
    framework: "mocha", mochaOpts: { timeout: 20000 }, reporters: [], logLevel: "silent", coloredLogs: false,
    waitforTimeout: 20, waitforInterval: 2, execArgv: ["--require", "runtime/patch"],
    before() {
      browser.addCommand("titleOf", (url) => { browser.url(url); return browser.getTitle(); });
    },
    beforeTest(test) { say(test.title, "at", browser.getUrl()); },
    afterTest(test, context, { passed } = test) { say("passed:", passed); },
  };`;

const spec = (own: string) => `
  const assert = require("assert");
  ${say}
  const failure = (fn) => { try { fn(); } catch (error) { return error.message.split("\\n")[0]; } };
  describe("a page", () => {
    let turns = 0;
    const turning = setInterval(() => turns++);
    before(() => { browser.url("http://page.test/"); });
    after(() => {
      clearInterval(turning);
      say("others have run:", turns > 5);
    });
    ${own}
    it("waits", () => {
      let asked = 0;
      browser.waitUntil(() => ++asked === 3 && browser.getTitle());
      say("asked:", asked);
    });
    it("calls a command of its own", () => { say(browser.titleOf("http://other.test/")); });
    it("is wrong", () => { assert.strictEqual(browser.getTitle(), "Title"); });
  });`;

for (const version of versions) {
  const name = `webdriverio-${version.protocol}`;
  const project = hasFibers ? await scratchProject(name, version.dependencies) : null;
  if (project === null)
    console.log(`${version.name}: skipped, ${hasFibers ? "it could not be installed" : "no fibers"}`);

  describe.runIf(project !== null)(version.name, () => {
    let code: unknown;
    let said: string[];

    beforeAll(async () => {
      const directory = mkdtempSync(path.join(tmpdir(), "runtime-wdio-"));
      const driver = await startDriver(version.protocol);
      try {
        mkdirSync(path.join(directory, "node_modules"));
        symlinkSync(root, path.join(directory, "node_modules", "runtime"));
        writeFileSync(path.join(directory, "wdio.conf.js"), config(driver.port));
        writeFileSync(path.join(directory, "spec.js"), spec(version.spec));
        const [file, ...args] = version.runner as [string, ...string[]];
        const all = [path.join(project as string, "node_modules", file), ...args, "wdio.conf.js"];
        const outcome = await runToEnd(all, directory);
        const log = path.join(directory, "said.txt");
        if (!existsSync(log)) throw new Error(`The runner ended early: ${outcome.printed}`);
        code = outcome.code;
        said = readFileSync(log, "utf8").trim().split("\n");
      } finally {
        driver.stop();
        rmSync(directory, { recursive: true });
      }
    });

    /** What was said in a test, and in the hooks around it. */
    const during = (title: string) => {
      const from = said.findIndex((line) => line.startsWith(`${title} at `));
      return said.slice(from + 1, said.findIndex((line, index) => index > from && line.startsWith("passed: ")) + 1);
    };

    it("finds elements, types, clicks, and reads, in blocking style", () => {
      expect(during("types, clicks and reads")).toEqual(["Sent: Ada SENT: ADA one,two", "passed: true"]);
    });

    it("throws errors where they are made", () => {
      expect(during("fails")).toEqual([...version.errors, "passed: true"]);
    });

    it("waits until a condition holds", () => {
      expect(during("waits")).toEqual(["asked: 3", "passed: true"]);
    });

    it("has commands of the program's own", () => {
      expect(during("calls a command of its own")).toEqual(["Title of http://other.test/", "passed: true"]);
    });

    it("calls hooks in blocking style", () => {
      const at = said.filter((line) => / at http:/.test(line)).map((line) => line.slice(line.lastIndexOf(" ") + 1));
      expect(at).toEqual([...new Array(4).fill("http://page.test/"), "http://other.test/"]);
    });

    it("tells of a test that fails, and lets others run meanwhile", () => {
      expect([code, during("is wrong"), said.at(-1)]).toEqual([1, ["passed: false"], "others have run: true"]);
    });
  });
}

function runToEnd(args: string[], cwd: string): Promise<{ code: unknown; printed: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, printed: stdout + stderr });
    });
  });
}
