import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { printing, run } from "../../support/run";
import { Web } from "./web";

let web: Web;

beforeAll(async () => {
  web = await Web.start();
});

afterAll(() => web.stop());

const program = (text: string, flags: string[] = []) =>
  run(
    `require("runtime/patch");
    const { ORIGIN, UDP } = process.env;
    const http = require("node:http"), dgram = require("node:dgram");
    const { isMainThread, parentPort, Worker, workerData } = require("node:worker_threads");
    const ended = (worker) => new Promise((resolve, reject) => worker.on("error", reject).on("exit", resolve));
    ${text}`,
    { flags, env: { ORIGIN: web.origin, UDP: String(web.ports.udp) } },
  );

describe("parked calls", () => {
  test("many threads may be parked at once", async () => {
    const outcome = await program(`
      if (isMainThread) {
        const workers = Array.from({ length: 6 }, () => new Worker(__filename));
        const answers = workers.map((worker) => new Promise((resolve) => worker.once("message", resolve)));
        Promise.all([...answers, ...workers.map(ended)]).then((all) => console.log(all.join()));
      } else {
        let right = 0;
        for (let i = 0; i < 30; i++) {
          right += http.getSync(ORIGIN + "/" + i).textSync().includes('"/' + i + '"');
          right += fetchSync(ORIGIN + "/bytes?count=20000").arrayBufferSync().byteLength === 20_000;
        }
        parentPort.postMessage(right);
      }`);
    expect(outcome).toEqual(printing([...Array(6).fill(60), ...Array(6).fill(0)].join()));
  });

  test.each([
    ["fetchSync", `fetchSync(ORIGIN + "/stuck")`],
    ["getSync", `http.getSync(ORIGIN + "/stuck")`],
    ["readSync", `const res = http.getSync(ORIGIN + "/endless"); for (;;) res.readSync()`],
    ["recvSync", `dgram.createSocket("udp4").recvSync()`],
    ["receiveSync", `parentPort.receiveSync()`],
    ["sleepSync", `require("node:timers").sleepSync(1e9)`],
  ])("a worker that is terminated in %s ends", async (_, call) => {
    const outcome = await program(`
      if (isMainThread) {
        const worker = new Worker(__filename);
        worker.once("message", () => worker.terminate());
        ended(worker).then((code) => console.log(code));
      } else {
        parentPort.postMessage("now");
        ${call};
      }`);
    expect(outcome).toEqual(printing("1"));
  });

  test("let go of requests whose responses became garbage", async () => {
    const outcome = await program(
      `const open = () => http.getSync(ORIGIN + "/open", { agent: false }).textSync();
      const before = open();
      for (let i = 0; i < 10; i++) {
        http.getSync(ORIGIN + "/endless");
        fetchSync(ORIGIN + "/endless");
      }
      const during = open() - before;
      let turns = 0;
      const timer = setInterval(() => {
        gc();
        const left = open() - before;
        if (left > 0 && turns++ < 1000) return;
        clearInterval(timer);
        console.log(during, left);
      }, 10);`,
      ["--expose-gc"],
    );
    expect(outcome).toEqual(printing("20 0"));
  });

  test("do not keep the process alive, whatever they have opened", async () => {
    const outcome = await program(`
      http.getSync(ORIGIN + "/endless");
      fetchSync(ORIGIN + "/endless");
      const socket = dgram.createSocket("udp4");
      socket.sendSync("1 x", UDP, "127.0.0.1");
      console.log(String(socket.recvSync().msg));`);
    expect(outcome).toEqual(printing("x"));
  });
});
