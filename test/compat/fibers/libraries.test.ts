// Libraries of the time of `fibers`, as their npm releases are, on ours: require("fibers") is redirected by the patch.
import { expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing } from "../../support/run";
import { runWithLibraries } from "./support";

// In each program `others` tells whether anything else has run since its fiber began, which it does at once.
const around = `
  const { readFile } = require("node:fs");
  const { createRequire } = require("node:module");
  const { setImmediate: turn } = require("node:timers/promises");
  const later = (value) => turn().then(() => turn(value));
  let others = false;
  queueMicrotask(() => { others = true; });
  const own = require("node:fs").readFileSync(__filename, "utf8").length;
`;
const check = (program: string) => runWithLibraries(around + program);

describeFibers("asyncawait", () => {
  it("suspends until promises, thunks and what is made of them are there", async () => {
    const program = `
      const async = installed("asyncawait/async");
      const await_ = installed("asyncawait/await");
      const size = async((file) => await_((callback) => readFile(file, "utf8", callback)).length);
      const total = async((files) => await_(files.map(size)).reduce((sum, one) => sum + one));
      const failing = async(() => {
        try { await_(later().then(() => { throw new Error("no"); })); } catch (error) { return error.message; }
      });
      total([__filename, __filename]).then((sum) => {
        console.log(sum === 2 * own);
        return failing();
      }).then(console.log);`;
    expect(await check(program)).toEqual(printing("true", "no"));
  });

  it("iterates asynchronously", async () => {
    const program = `
      const async = installed("asyncawait/async");
      const await_ = installed("asyncawait/await");
      const numbers = async.iterable((yield_, count) => {
        for (let n = 1; n <= count; n++) yield_(await_(later(n)));
      });
      const seen = [];
      async(() => { await_(numbers(3).forEach((n) => seen.push(n))); return seen.join(); })().then(console.log);`;
    expect(await check(program)).toEqual(printing("1,2,3"));
  });
});

describeFibers("fibrous", () => {
  it("calls synchronously, and by futures", async () => {
    const program = `
      const fibrous = installed("fibrous");
      const fs = require("node:fs");
      const read = fibrous((file) => fs.sync.readFile(file, "utf8").length);
      fibrous.run(() => {
        const futures = [read.future(__filename), fs.future.stat(__filename)];
        fibrous.wait(futures);
        let code;
        try { fs.sync.readFile("/does/not/exist"); } catch (error) { code = error.code; }
        return [futures[0].get() === own, futures[1].get().size > 0, read.sync(__filename) === own, code, others];
      }, (error, result) => console.log(error, result.join()));`;
    expect(await check(program)).toEqual(printing("undefined true,true,true,ENOENT,true"));
  });

  it("is a middleware of Express", async () => {
    const program = `
      const fibrous = installed("fibrous");
      const app = installed("express")();
      const fs = require("node:fs");
      app.use(fibrous.middleware);
      app.get("/", (req, res) => res.send(String(fs.sync.readFile(__filename, "utf8").length === own)));
      const server = app.listen(0, "127.0.0.1", () => {
        fetch("http://127.0.0.1:" + server.address().port).then((res) => res.text()).then((text) => {
          console.log(text);
          process.exit();
        });
      });`;
    expect(await check(program)).toEqual(printing("true"));
  });
});

describeFibers("synchronize", () => {
  it("waits for callbacks, several at once, and for no longer than it is told", async () => {
    const program = `
      const sync = installed("synchronize");
      const fs = require("node:fs");
      sync(fs, "readFile");
      sync.fiber(() => {
        sync.parallel(() => {
          for (let i = 0; i < 2; i++) fs.readFile(__filename, "utf8", sync.defer());
        });
        const both = sync.await();
        let slow;
        try { sync.deferWithTimeout(2, "too slow"); sync.await(); } catch (error) { slow = error.message; }
        return [fs.readFile(__filename, "utf8").length === own, both.length, slow, others];
      }, (error, result) => console.log(error, result.join()));`;
    expect(await check(program)).toEqual(printing("null true,2,too slow,true"));
  });
});

describeFibers("wait.for", () => {
  it("waits for functions and methods, and maps in parallel", async () => {
    const program = `
      const wait = installed("wait.for");
      const after = (ms, value, callback) => setTimeout(() => callback(null, value), ms);
      wait.launchFiber((file) => {
        const length = wait.for(readFile, file, "utf8").length;
        const stat = wait.forMethod(require("node:fs"), "stat", file);
        const doubled = wait.parallel.map([3, 2, 1], (n) => wait.for(after, n, n * 2));
        let code;
        try { wait.for(readFile, "/does/not/exist"); } catch (error) { code = error.code; }
        console.log(length === own, stat.size > 0, doubled.join(), code, others);
      }, __filename);`;
    expect(await check(program)).toEqual(printing("true true 6,4,2 ENOENT true"));
  });
});

describeFibers("sync", () => {
  it("calls any function synchronously, or by a future", async () => {
    const program = `
      const Sync = installed("sync");
      const fs = require("node:fs");
      const plus = function (a, b) { Sync.sleep(1); return a + b; }.async();
      Sync(() => {
        const futures = [fs.stat.future(null, __filename), fs.stat.future(null, __filename)];
        const text = readFile.sync(null, __filename, "utf8");
        let code;
        try { readFile.sync(null, "/does/not/exist"); } catch (error) { code = error.code; }
        return [text.length === own, futures[0].result.size === futures[1].result.size, plus.sync(null, 1, 2), code, others];
      }, (error, result) => console.log(error, result.join()));`;
    expect(await check(program)).toEqual(printing("undefined true,true,3,ENOENT,true"));
  });
});

describeFibers("meteor-promise", () => {
  it("awaits promises in fibers of its pool, with what is in the fiber", async () => {
    const program = `
      const Fiber = require("fibers");
      installed("meteor-promise").makeCompatible(Promise, Fiber);
      const double = Promise.async((n) => 2 * Promise.await(later(n)));
      const failing = () => Promise.asyncApply(() => Promise.reject(new Error("no")).await());
      Fiber(() => {
        Fiber.current.user = "somebody";
        const values = Promise.awaitAll([double(1), double(2), later(3)]);
        const user = Promise.resolve().then(() => Fiber.current.user).await();
        let message;
        try { Promise.await(failing()); } catch (error) { message = error.message; }
        console.log(values.join(), user, message, others);
      }).run();`;
    expect(await check(program)).toEqual(printing("2,4,3 somebody no true"));
  });
});

describeFibers("f-promise", () => {
  it("runs coroutines that wait for promises and callbacks, with funnels, queues and handshakes", async () => {
    const program = `
      const { run, wait, funnel, map, sleep, Queue } = installed("f-promise");
      run(() => {
        let inside = 0, most = 0;
        const two = funnel(2);
        const values = map([1, 2, 3, 4], (n) => two(() => {
          most = Math.max(most, ++inside);
          sleep(1);
          inside--;
          return n * n;
        }));
        const queue = new Queue();
        run(() => queue.write("passed on"));
        const text = wait((callback) => readFile(__filename, "utf8", callback));
        let message;
        try { wait(later().then(() => { throw new Error("no"); })); } catch (error) { message = error.message; }
        return [text.length === own, values.join("+"), most, queue.read(), message, others].join();
      }).then(console.log);`;
    expect(await check(program)).toEqual(printing("true,1+4+9+16,2,passed on,no,true"));
  });
});

describeFibers("streamline-runtime", () => {
  it("runs what the compiler makes of streamline code for fibers", async () => {
    // function length(file, _) { try { return fs.readFile(file, "utf8", _).length; } catch (e) { return e.code; } }
    const program = `
      const { async, await: await_ } = installed("streamline-runtime/lib/fibers/runtime");
      const fs = require("node:fs");
      const length = async(function length(file, _) {
        try { return await_(__filename, 1, fs, "readFile", 2, null, false)(file, "utf8", true).length; }
        catch (error) { return error.code; }
      }, 1, 2);
      length(__filename, (error, result) => {
        console.log(error, result === own, others);
        length("/does/not/exist", (error, code) => console.log(error, code));
      });`;
    expect(await check(program)).toEqual(printing("null true true", "null ENOENT"));
  });
});

describeFibers("asyncblock", () => {
  it("waits for callbacks, in series and in parallel, and by futures", async () => {
    const program = `
      const asyncblock = installed("asyncblock");
      const fs = require("node:fs");
      asyncblock((flow) => {
        for (const name of ["one", "two"]) readFile(__filename, "utf8", flow.add(name));
        const both = flow.wait();
        const size = flow.future(fs.stat(__filename, flow.callback()));
        const text = flow.sync(readFile(__filename, "utf8", flow.callback()));
        let code;
        try { flow.sync(readFile("/does/not/exist", flow.callback())); } catch (error) { code = error.code; }
        return [Object.keys(both).sort().join("+"), text.length === own, size.result.size > 0, code, others];
      }, (error, result) => console.log(error, result.join()));`;
    expect(await check(program)).toEqual(printing("null one+two,true,true,ENOENT,true"));
  });
});

describeFibers("fiber-utils", () => {
  it("wraps functions, ensures a fiber, and lets one in after the other", async () => {
    const program = `
      const { FiberUtils } = installed("fiber-utils");
      const utils = new FiberUtils(require("fibers"), require("fibers/future"));
      const read = utils.wrap(readFile);
      const order = [];
      const guarded = (name) => utils.ensure(() => utils.synchronize(order, "section", () => {
        order.push(name + " enters");
        utils.sleep(1);
        order.push(name + " leaves");
      }));
      guarded("one");
      guarded("two");
      utils.ensure(() => {
        let code;
        try { read("/does/not/exist"); } catch (error) { code = error.code; }
        utils.synchronize(order, "section", () => console.log(order.join(), read(__filename, "utf8").length === own, code, others));
      });`;
    expect(await check(program)).toEqual(printing("one enters,one leaves,two enters,two leaves true ENOENT true"));
  });
});

describeFibers("f-streams", () => {
  it("reads, maps and reduces streams that wait, and serves and asks by HTTP", async () => {
    const program = `
      const streams = installed("f-streams");
      const { run, wait } = createRequire(installed.resolve("f-streams"))("f-promise");
      run(() => {
        const slowly = (value) => wait(later(value));
        const squares = streams.arrayReader([1, 2, 3, 4, 5]).map((n) => slowly(n * n)).filter((n) => n % 2).toArray();
        const lines = streams.textFileReader(__filename).transform(streams.linesParser()).reduce((count) => count + 1, 0);
        const server = require("node:http").createServer(streams.httpListener((req, res) => {
          res.writeHead(200, {});
          res.end(slowly("asked for " + req.url));
        }));
        wait((callback) => server.listen(0, "127.0.0.1", callback));
        const url = "http://127.0.0.1:" + server.address().port + "/path";
        const response = streams.httpClient({ url, method: "GET" }).end().response();
        return [squares.join("+"), lines > 5, response.statusCode, response.readAll(), others].join();
      }).then(console.log).then(() => process.exit());`;
    expect(await check(program)).toEqual(printing("1+9+25,true,200,asked for /path,true"));
  });
});

describeFibers("common-node", () => {
  it("runs CommonJS programs in blocking style: files, processes, threads, a JSGI server and its client", async () => {
    const program = `
      const { "fs-base": fs, httpclient, httpserver, subprocess, system } = installed("common-node");
      const http = require("node:http");
      const app = (request) => {
        system.sleep(1);
        return { status: 200, headers: {}, body: [request.method, request.pathInfo, " ", request.input.read().decodeToString()] };
      };
      const server = http.createServer(httpserver.jsgi(app)).listen(0, "127.0.0.1", () => system.spawn(() => {
        const url = "http://127.0.0.1:" + server.address().port + "/path";
        const answer = new httpclient.HttpClient({ url, method: "POST", body: ["a body"] }).finish();
        const output = fs.open(__dirname + "/lines.txt", "w");
        output.print("one").print("two").close();
        const lines = fs.open(__dirname + "/lines.txt").readLines();
        const numbers = system.parallel([2, 1].map((n) => () => { system.sleep(n); return n; }));
        let message;
        try { subprocess.command("sh", "-c", "echo no >&2; exit 3"); } catch (error) { message = error.message; }
        console.log(answer.status, answer.body.read().decodeToString(), lines.join("").split("\\n").join());
        console.log(subprocess.command("echo", "hello").trim(), message.split("\\n").join(), numbers.join(), others);
        process.exit();
      }));`;
    expect(await check(program)).toEqual(printing("200 POST/path a body one,two,", "hello (3),no, 2,1 true"));
  });
});

describeFibers("sass 1.32", () => {
  it("renders with asynchronous importers and functions, in a fiber", async () => {
    const program = `
      const sass = installed("sass-with-fibers");
      sass.render({
        data: '@import "theme"; a { b: twice($one); }',
        outputStyle: "compressed",
        fiber: require("fibers"),
        importer: (url, from, done) => void setTimeout(() => done({ contents: "$one: 1;" }), 1),
        functions: { "twice($n)": (n, done) => void setTimeout(() => done(new sass.types.Number(2 * n.getValue())), 1) },
      }, (error, result) => console.log(error, result.css.toString(), others));`;
    expect(await check(program)).toEqual(printing("null a{b:2} true"));
  });
});

describeFibers("a wrapper of one's own, as there are hundreds", () => {
  it("makes blocking functions of those with a callback", async () => {
    const program = `
      const Fiber = require("fibers");
      const fiberize = (fn) => function (...args) {
        const fiber = Fiber.current;
        let outcome;
        fn.call(this, ...args, (error, value) => {
          outcome = { error, value };
          if (fiber.waits) fiber.run();
        });
        if (!outcome) {
          fiber.waits = true;
          Fiber.yield();
          fiber.waits = false;
        }
        if (outcome.error) throw outcome.error;
        return outcome.value;
      };
      const read = fiberize(readFile);
      Fiber(() => {
        const lengths = [1, 2].map(() => read(__filename, "utf8").length);
        let code;
        try { read("/does/not/exist"); } catch (error) { code = error.code; }
        console.log(lengths.every((length) => length === own), code, others);
      }).run();`;
    expect(await check(program)).toEqual(printing("true ENOENT true"));
  });
});

// They need the program's own event loop to answer, which a thread that really blocked would not let run.
const server = `
  const http = require("node:http");
  const { spawn } = require("runtime");
  const server = http.createServer((req, res) => {
    if (req.url === "/missing") res.statusCode = 404;
    res.end(JSON.stringify({ url: req.url, method: req.method }));
  });
  server.listen(0, "127.0.0.1", () => {
    spawn(main, "http://127.0.0.1:" + server.address().port).then(() => process.exit());
  });
`;

describeFibers("sync-fetch", () => {
  it("lets others run, the server that it asks among them", async () => {
    const program = `${server}
      function main(origin) {
        const fetch = installed("sync-fetch");
        const response = fetch(origin + "/path", { method: "POST" });
        console.log(response.status, JSON.stringify(response.json()), fetch(origin + "/missing").ok);
      }`;
    expect(await check(program)).toEqual(printing('200 {"url":"/path","method":"POST"} false'));
  });
});

describeFibers("sync-request", () => {
  it("lets others run, the server that it asks among them", async () => {
    const program = `${server}
      function main(origin) {
        const request = installed("sync-request");
        console.log(request("GET", origin + "/path").getBody("utf8"), request("GET", origin + "/missing").statusCode);
      }`;
    expect(await check(program)).toEqual(printing('{"url":"/path","method":"GET"} 404'));
  });
});
