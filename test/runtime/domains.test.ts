import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const prelude = `
  require("runtime/patch");
  const domain = require("node:domain");
  const { sleep, spawn } = require("runtime");
  const named = (name) => Object.assign(domain.create(), { name });
  const seen = [];
  const note = (where) => seen.push(where + ":" + (process.domain ? process.domain.name : "none"));
  const show = () => console.log(seen.join(" "), domain._stack.length);`;

describeFibers("domains", () => {
  it("are each fiber's own: nobody else is in one that a suspended fiber has entered", async () => {
    const program = `${prelude}
      const [d1, d2, d3] = ["d1", "d2", "d3"].map(named);
      spawn(() => {
        note("a");
        d1.run(() => {
          d2.run(() => d1.run(() => { sleep(10); note("a"); }));
          note("a");
        });
        note("a");
      });
      spawn(() => { note("b"); sleep(5); note("b"); d3.run(() => { sleep(20); note("b"); }); note("b"); });
      setTimeout(note, 7, "hub");
      process.on("exit", show);`;
    const { stdout } = await run(program);
    const [seen, left] = [stdout.trim().split(" ").slice(0, -1), stdout.trim().split(" ").at(-1)];
    expect(seen.filter((text) => text.startsWith("a"))).toEqual(["a:none", "a:d1", "a:d1", "a:none"]);
    expect(seen.filter((text) => text.startsWith("b"))).toEqual(["b:none", "b:none", "b:d3", "b:none"]);
    expect(seen.filter((text) => text.startsWith("hub"))).toEqual(["hub:none"]);
    expect(left).toBe("0");
  });

  it("are those of the code that has made a fiber, whoever resumes it", async () => {
    const program = `${prelude}
      const { AsyncResult } = require("runtime");
      const [d1, d2] = ["d1", "d2"].map(named);
      const result = new AsyncResult();
      d1.run(() => spawn(() => { note("in"); result.get(); note("in"); }));
      spawn(() => { result.get(); note("out"); });
      setTimeout(() => d2.run(() => { result.set(1); note("hub"); setTimeout(note, 5, "later"); }), 5);
      process.on("exit", show);`;
    expect(await run(program)).toEqual(printing("in:d1 hub:d2 in:d1 out:none later:d2 0"));
  });

  it("are left as they were for the code on which a fiber runs", async () => {
    const program = `${prelude}
      const { EventEmitter } = require("node:events");
      const { PassThrough } = require("node:stream");
      const [d1, d2] = ["d1", "d2"].map(named);
      d1.run(() => {
        const stream = new PassThrough();
        stream.on("x", () => { note("listener"); d2.run(() => { sleep(1); note("listener"); }); note("listener"); });
        d2.run(() => { stream.emit("x"); note("emitter"); });
        note("emitter");
      });
      note("main");
      process.on("exit", show);`;
    const { stdout } = await run(program);
    expect(stdout).toBe("listener:d1 emitter:d2 emitter:d1 main:none listener:d2 listener:d1 0\n");
  });

  it("get the errors of their own fibers, and no others", async () => {
    const program = `${prelude}
      const caught = (name) => named(name).on("error", (error) => console.log(name, error.message));
      const [d1, d2] = ["d1", "d2"].map(caught);
      process.on("uncaughtException", (error) => console.log("process", error.message));
      const failing = (message) => { sleep(5); throw new Error(message); };
      d1.run(() => setTimeout(failing, 1, "first"));
      d2.run(() => setTimeout(failing, 20, "second"));
      setTimeout(() => { d1.run(() => sleep(20)); note("slow"); }, 1);
      setTimeout(failing, 3, "third");
      process.on("exit", show);`;
    expect((await run(program)).stdout.trim().split("\n").sort()).toEqual(
      ["d1 first", "d2 second", "process third", "slow:none 0"].sort(),
    );
  });

  it("make an answer of an error in a request's handler, as servers of old have it", async () => {
    const program = `${prelude}
      const http = require("node:http");
      const server = http.createServer((request, response) => {
        const own = domain.create();
        own.on("error", (error) => { response.statusCode = 500; response.end(error.message); });
        own.add(request);
        own.add(response);
        own.run(() => {
          sleep(Math.random() * 20);
          if (request.url.endsWith("0")) throw new Error(request.url);
          setTimeout(() => { sleep(Math.random() * 5); throw new Error(request.url); }, 1);
        });
      });
      spawn(() => {
        server.listenSync(0);
        const url = "http://127.0.0.1:" + server.address().port;
        const right = Array.from({ length: 40 }, (_, i) => spawn(() => fetchSync(url + "/" + i).textSync() === "/" + i));
        console.log(right.every((fiber) => fiber.get()));
        show();
        process.exit();
      });`;
    expect((await run(program)).stdout).toBe("true\n 0\n");
  });
});
