// Tests of web pages in the blocking style of WebdriverIO up to its version 7, run by its own runner, as its users run them.
import path from "node:path";
import { beforeAll, expect, it } from "vitest";
import { run } from "../../support/run";
import { startDriver } from "../../support/webdriver";
import { describeWithPackages } from "./support";

interface Version {
  name: string;
  project: string;
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
    project: "webdriverio-7",
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
      `element ("#none") still not existing after 1000ms`,
    ],
  },
  {
    name: "WebdriverIO 4, with wdio-sync",
    project: "webdriverio-4",
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
      `element ("#none") still not existing after 1000ms`,
    ],
  },
];

const say = `const say = (...words) => console.log("said: " + words.join(" "));`;

/** Only that each of the runner's processes is patched is new. */
const config = (port: number) => `
  ${say}
  exports.config = {
    hostname: "127.0.0.1", host: "127.0.0.1", port: ${port}, path: "/", automationProtocol: "webdriver",
    specs: [__dirname + "/spec.js"], capabilities: [{ browserName: "chrome" }], runner: "local", sync: true,
    framework: "mocha", mochaOpts: { timeout: 20000 }, reporters: [], logLevel: "silent", coloredLogs: false,
    waitforTimeout: 1000, waitforInterval: 2, execArgv: ["--require", "runtime/patch"],
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
  await describeWithPackages(version.name, version.project, version.dependencies, (modules) => {
    let code: unknown;
    let said: string[];

    beforeAll(async () => {
      const driver = await startDriver(version.protocol);
      const [file, ...args] = version.runner as [string, ...string[]];
      const flags = [path.join(modules, file), ...args];
      const files = { "spec.js": spec(version.spec) };
      const outcome = await run(config(driver.port), { name: "wdio.conf.js", flags, files });
      driver.stop();
      code = outcome.code;
      said = [...outcome.stdout.matchAll(/said: (.*)/g)].map(([, text]) => text as string);
    });

    /** What was said in a test, and in the hook after it. */
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
