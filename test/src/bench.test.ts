import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadEcho, loadServer } from "../../benchmarks/harness/load.mjs";
import { outcomeOf, verdictText } from "../../benchmarks/harness/outcome.mjs";
import { more, playRounds, timesAsMuch } from "../../benchmarks/harness/rounds.mjs";

const cli = path.join(__dirname, "..", "..", "dist", "cli.js");
const work = mkdtempSync(path.join(tmpdir(), "runtime-bench-test-"));

afterAll(() => rmSync(work, { recursive: true, force: true }));

function bench(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, "bench", ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

describe("runtime bench", () => {
  it("tells its arguments, and its groups", () => {
    const { status, stdout } = bench(["--help"]);
    expect(status).toBe(0);
    for (const word of [
      "switch ",
      "sync ",
      "fs ",
      "net ",
      "http ",
      "db ",
      "cpu ",
      "start ",
      "--peers",
      "--report FILE",
    ])
      expect(stdout).toContain(word);
  });

  it("lists the benchmarks of a group, and the peers that are asked for", () => {
    const { status, stdout } = bench(["http", "--list", "--peers", "async"]);
    expect(status).toBe(0);
    expect(stdout.match(/^\S+/gm)).toEqual([
      "http-hello",
      "http-sleep",
      "http-file",
      "http-upstream",
      "http-workers",
      "client",
    ]);
    expect(stdout).toContain("async/await (--peers async)");
    expect(stdout).not.toContain("gevent");
  });

  it.each([
    [["nonesuch"], "there is no benchmark nonesuch. There are: switch,"],
    [["--rounds", "0"], "--rounds must be a whole number from 1 on, not 0"],
    [["--rounds", "1.5"], "--rounds must be a whole number from 1 on, not 1.5"],
    [["--connections", "50,x"], "--connections must be a whole number from 1 on, not x"],
    [["--connections", "50,"], "--connections has an empty place: 50,"],
    [["--duration", "0"], "--duration must be a number of seconds above 0, not 0"],
    [["start", "--peers", "gevent"], "--peers: no gevent in these benchmarks. There are: node"],
    [["--json", path.join(work, "none", "file")], "--json: ENOENT"],
    [["--report", ""], "--report must name a file"],
    [["--nonesuch"], "--nonesuch"],
  ])("says what is wrong with %j", (args, message) => {
    const { status, stdout, stderr } = bench(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(`runtime bench: `);
    expect(stderr).toContain(message);
  });

  it("measures, and writes what came out as JSON, as Markdown and as a page that needs nothing else", () => {
    const [json, results, report] = ["json", "md", "html"].map((ending) => path.join(work, `out.${ending}`));
    const files = ["--json", json, "--results", results, "--report", report] as string[];
    const { status, stdout, stderr } = bench(["start", "--rounds", "2", ...files]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /2 rounds, median \(min\.\.max\)\n.*\n {4}runtime +\d.*\n {4}bare node +\d.*\n {4}-> [+-]\d/,
    );

    const record = JSON.parse(readFileSync(json as string, "utf8"));
    expect(record.settings).toMatchObject({ names: ["start"], rounds: 2, quick: false });
    expect(record.machine.join()).toContain(`Node ${process.version.slice(1)}`);
    const [{ contestants, rows }] = record.benchmarks;
    expect(contestants.map((one: { played: unknown[] }) => one.played.length)).toEqual([2, 2]);
    expect(rows[0].figures["bare node"].median).toBeGreaterThan(1);

    expect(readFileSync(results as string, "utf8")).toMatch(/^\| .*\(ms\) \| [\d.]+ .*\| [\d.]+ .*\|$/m);
    const page = readFileSync(report as string, "utf8");
    expect(page).toContain('<section id="start">');
    expect(page).not.toMatch(/<(script|link|img)[^>]*(src|href)=/);
    const data = /<script type="application\/json" id="data">(.*)<\/script>/.exec(page)?.[1] as string;
    expect(JSON.parse(data)[0].rows).toEqual(rows);
  });

  it("says that a run of ours has failed, and exits with 1", () => {
    const { status, stdout } = bench(["spawn", "--rounds", "1", "--peers", "go"], { RUNTIME_SWITCH: "none" });
    expect(stdout).toMatch(/FAILED: runtime, 1 of 1 rounds: /);
    expect(status).toBe(1);
  });
});

describe("what rounds have shown", () => {
  function comparison(compare: object, ours: object[], theirs: object[], bounds = {}) {
    const benchmark = {
      name: "some",
      title: "Some",
      contestants: [{ name: "ours" }, { name: "theirs", peer: "theirs" }],
      rows: [{ key: "time", what: "time", peer: "theirs", compare, ...bounds }],
    };
    const results = new Map(Object.entries({ ours, theirs }));
    return outcomeOf(benchmark, results, ours.length);
  }
  const times = (...all: number[]) => all.map((time) => ({ time }));

  it("is drowned by noise where the rounds disagree on who is ahead", () => {
    const drowned = comparison(timesAsMuch, times(9, 11, 12), times(10, 10, 10)).rows[0].comparison;
    expect(drowned.drowned).toBe(true);
    expect(verdictText(drowned)).toContain("drowned by noise");
    const sure = comparison(timesAsMuch, times(11, 12, 19), times(10, 10, 10)).rows[0].comparison;
    expect(sure).toMatchObject({ drowned: false, median: 1.2, min: 1.1, max: 1.9 });
    expect(comparison(more, times(9, 11), times(10, 10)).rows[0].comparison.drowned).toBe(true);
  });

  it("says whether other rounds contradict what was reached", () => {
    const bounds = { atMost: 1.25 };
    const near = comparison(timesAsMuch, times(11, 12, 13), times(10, 10, 10), bounds).rows[0].comparison;
    expect(near.reach).toMatchObject({ met: true, drowned: true });
    const clear = comparison(timesAsMuch, times(11, 12, 12), times(10, 10, 10), bounds).rows[0].comparison;
    expect(clear.reach).toMatchObject({ met: true, drowned: false });
  });

  it("goes on where a contestant cannot even begin", async () => {
    const cannot = () => {
      throw new Error("does not compile");
    };
    const can = async () => ({ time: 1 });
    const results = await playRounds(
      [
        { name: "a", measure: cannot },
        { name: "b", measure: can },
      ],
      1,
      () => {},
    );
    expect(Object.fromEntries(results)).toEqual({ a: [{ error: "does not compile" }], b: [{ time: 1 }] });
  });

  it("counts no round that has failed", () => {
    const outcome = comparison(timesAsMuch, [{ time: 10 }, { error: "reset" }], times(10, 1000));
    expect(outcome.contestants[0].errors).toEqual(["reset"]);
    expect(outcome.rows[0].comparison).toMatchObject({ median: 1, min: 1, max: 1 });
  });
});

describe("a load", () => {
  const short = { connections: 4, seconds: 1, warmUp: 1, answer: "hello\n" };

  function server(name: string, handle: string, kind = "http"): string[] {
    const file = path.join(work, `${name}.cjs`);
    const listen = 'listen(0, "127.0.0.1", () => console.log(server.address().port))';
    writeFileSync(
      file,
      `let count = 0; const server = require("node:${kind}").createServer(${handle}); server.${listen};`,
    );
    return [process.execPath, file];
  }

  it("tells how a server has done", async () => {
    const figures = await loadServer(server("right", '(_, res) => res.end("hello\\n")'), short);
    for (const name of ["perSecond", "p50", "p99"]) expect(figures[name]).toBeGreaterThan(0);
  });

  it.each([
    ["a wrong answer", '(_, res) => res.end("other")', 'wrong answer: 200 "other"'],
    ["answers that are wrong later", '(_, res) => res.end(++count > 9 ? "" : "hello\\n")', 'wrong answer: 200 ""'],
    ["errors", '(_, res) => { res.statusCode = ++count > 9 ? 500 : 200; res.end("hello\\n"); }', "with an error"],
    ["resets", '(req, res) => ++count > 9 ? req.socket.resetAndDestroy() : res.end("hello\\n")', "reset"],
    ["an end", '(_, res) => ++count > 9 ? process.exit(3) : res.end("hello\\n")', "the server has ended (3)"],
  ])("does not count %s", async (name, handle, message) => {
    await expect(loadServer(server(name, handle), short)).rejects.toThrow(message);
  });

  it("does not count an echo that is wrong, or a connection that ends", async () => {
    const wrong = server("echo", '(socket) => socket.on("data", (data) => socket.write(data.fill(1)))', "net");
    await expect(loadEcho(wrong, short)).rejects.toThrow("wrong answer");
    const ends = server("ends", '(socket) => socket.on("data", () => socket.end())', "net");
    await expect(loadEcho(ends, short)).rejects.toThrow("a connection has ended");
  });
});
