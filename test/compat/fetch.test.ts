import "runtime/patch";
import { once } from "node:events";
import http, { type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isPatched, killAll, original, spawn, withTimeout } from "runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeFibers, inFiber, progress, thrown, until } from "./support";

let server: http.Server;
let origin: string;
const stuck: ServerResponse[] = [];

beforeAll(async () => {
  server = http.createServer((req, res) => {
    if (req.url === "/stuck") stuck.push(res);
    else if (req.url === "/half") res.write("half");
    else if (req.url === "/form") {
      res.setHeader("content-type", "application/x-www-form-urlencoded").end("a=1&b=2");
    } else res.end(JSON.stringify({ method: req.method, url: req.url, body: req.textSync() }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describeFibers("fetchSync", () => {
  test("brings a response, whose body is read in blocking style", async () => {
    await inFiber(() => {
      const res = fetchSync(`${origin}/path`, { method: "POST", body: "text" });
      expect([res.status, res.ok, res.url]).toEqual([200, true, `${origin}/path`]);
      expect(res.jsonSync()).toEqual({ method: "POST", url: "/path", body: "text" });
      expect(fetchSync(new URL(origin)).textSync()).toBe('{"method":"GET","url":"/","body":""}');
      expect(fetchSync(new Request(`${origin}/r`, { method: "PUT", body: "x" })).jsonSync().method).toBe("PUT");
      expect(Buffer.from(fetchSync(origin).arrayBufferSync()).toString()).toContain("GET");
      expect(fetchSync(origin).blobSync().size).toBe(36);
      expect([...fetchSync(`${origin}/form`).formDataSync()].join(";")).toBe("a,1;b,2");
      if ("bytes" in Response.prototype) expect(fetchSync(origin).bytesSync().length).toBe(36);
      expect("bytesSync" in Response.prototype).toBe("bytes" in Response.prototype);
    });
  });

  test("lets others go on meanwhile, many at once", async () => {
    const turns = await progress(
      () => fetchSync(`${origin}/stuck`),
      () => void until(() => stuck.length > 0).then(() => stuck.pop()?.end()),
    );
    expect(turns).toBeGreaterThanOrEqual(5);
    const fibers = Array.from({ length: 100 }, (_, at) => spawn(() => fetchSync(`${origin}/${at}`).jsonSync().url));
    expect(await Promise.all(fibers)).toEqual(fibers.map((_, at) => `/${at}`));
  });

  test("throws what fetch is rejected with, with the fiber's frames", async () => {
    await inFiber(function caller() {
      const refused = thrown(() => fetchSync("http://127.0.0.1:1/"));
      expect(refused).toMatchObject({ name: "TypeError", message: "fetch failed" });
      expect(refused.stack).toContain("caller");
      expect(thrown(() => fetchSync("no url"))).toMatchObject({ name: "TypeError" });
      const res = fetchSync(origin);
      res.textSync();
      expect(thrown(() => res.textSync())).toMatchObject({ name: "TypeError" });
      expect(thrown(() => fetchSync(`${origin}/form`).jsonSync())).toMatchObject({ name: "SyntaxError" });
    });
  });

  test("ends with the signal's reason when that is aborted, also of a Request's own", async () => {
    await inFiber(() => {
      const reason = new Error("enough");
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 5);
      expect(thrown(() => fetchSync(`${origin}/stuck`, { signal: controller.signal }))).toBe(reason);
      const request = new Request(`${origin}/stuck`, { signal: AbortSignal.timeout(5) });
      expect(thrown(() => fetchSync(request))).toMatchObject({ name: "TimeoutError" });
    });
  });

  test("aborts the request when the fiber is killed or timed out, before the response or in its body", async () => {
    expect(await spawn(() => withTimeout(5, () => fetchSync(`${origin}/stuck`), "late"))).toBe("late");
    stuck.length = 0;
    const waiting = spawn(() => fetchSync(`${origin}/stuck`));
    await until(() => stuck.length === 1);
    let reading = false;
    const half = once(server, "request");
    const reader = spawn(() => {
      const response = fetchSync(`${origin}/half`);
      reading = true;
      return response.textSync();
    });
    await until(() => reading);
    const [, res] = (await half) as [unknown, ServerResponse];
    await spawn(() => killAll([waiting, reader]));
    await until(() => stuck[0]?.destroyed && res.destroyed);
    for (const { value } of [waiting, reader]) expect(value).toMatchObject({ name: "FiberExit" });
  });

  test("a Response of its own cannot be read out of a fiber, which is told", async () => {
    await inFiber(() => fetchSync(origin).textSync());
    expect(thrown(() => new Response("x").textSync())).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(isPatched("fetch")).toBe(true);
    expect(original("fetch", "fetch")).toBe(globalThis.fetch);
  });
});
