import "runtime/patch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { thrown } from "../support";
import { Web } from "./web";

let web: Web;
let origin: string;

beforeAll(async () => {
  web = await Web.start();
  ({ origin } = web);
});

afterAll(() => web.stop());

describe("fetchSync out of a fiber", () => {
  test("brings a response, as fetch does", async () => {
    const res = fetchSync(`${origin}/path?x`);
    const expected = await fetch(`${origin}/path?x`);
    expect(res).toBeInstanceOf(Response);
    for (const name of ["status", "statusText", "ok", "url", "redirected", "type", "bodyUsed"] as const) {
      expect([name, res[name]]).toEqual([name, expected[name]]);
    }
    const headers = (one: Response) => [...one.headers].filter(([name]) => name !== "date");
    expect(headers(res)).toEqual(headers(expected));
    expect(res.jsonSync()).toEqual(await expected.json());
    expect([res.bodyUsed, expected.bodyUsed]).toEqual([true, true]);
  });

  test("the body comes in every form", () => {
    expect(fetchSync(new URL(`${origin}/bytes?count=3`)).textSync()).toBe("\x07\x07\x07");
    expect([...new Uint8Array(fetchSync(`${origin}/bytes?count=3`).arrayBufferSync())]).toEqual([7, 7, 7]);
    expect(fetchSync(`${origin}/bytes?count=20000000`).arrayBufferSync().byteLength).toBe(20_000_000);
    const blob = fetchSync(origin).blobSync();
    expect([blob instanceof Blob, blob.type, blob.size > 10]).toEqual([true, "application/json", true]);
    expect([...fetchSync(`${origin}/form`).formDataSync()].join(";")).toBe("a,1;b,2");
    if ("bytes" in Response.prototype) expect([...fetchSync(`${origin}/bytes?count=2`).bytesSync()]).toEqual([7, 7]);
  });

  test("a response without a body has none", () => {
    const res = fetchSync(`${origin}/status?count=204`);
    expect([res.status, res.body, res.textSync(), res.textSync(), res.bodyUsed]).toEqual([204, null, "", "", false]);
    expect(fetchSync(`${origin}/status?count=404`).ok).toBe(false);
  });

  test("redirects are followed, or not", () => {
    const res = fetchSync(`${origin}/redirect`);
    expect([res.redirected, res.url, res.textSync().length]).toEqual([true, `${origin}/bytes?count=3`, 3]);
    expect(fetchSync(`${origin}/redirect`, { redirect: "manual" }).status).toBe(302);
  });

  test("a request's method, headers and body are sent", () => {
    const sent = (body: RequestInit["body"], headers = {}) =>
      fetchSync(origin, { method: "POST", body, headers }).jsonSync();
    expect(sent("text", { own: "mine" })).toMatchObject({
      method: "POST",
      own: "mine",
      text: "text",
      type: "text/plain;charset=UTF-8",
    });
    expect(sent(new URLSearchParams({ a: "1 2" }))).toMatchObject({
      text: "a=1+2",
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    });
    expect(sent(new Blob(["blob"], { type: "text/x" }))).toMatchObject({ text: "blob", type: "text/x" });
    expect(sent(Buffer.from("bytes").subarray(1))).toMatchObject({ text: "ytes" });
    expect(sent(new Uint8Array(10_000_000).buffer)).toMatchObject({ size: 10_000_000 });
    const form = new FormData();
    form.append("field", "value");
    form.append("file", new Blob(["content"], { type: "text/x" }), "name.txt");
    const { text, type } = sent(form);
    expect(type).toMatch(/^multipart\/form-data; boundary=/);
    for (const part of ['name="field"', "value", 'filename="name.txt"', "Content-Type: text/x", "content"]) {
      expect(text).toContain(part);
    }
    const request = new Request(`${origin}/request`, { method: "PUT", headers: { own: "mine" } });
    expect(fetchSync(request).jsonSync()).toMatchObject({ method: "PUT", url: "/request", own: "mine" });
    expect(fetchSync(request, { method: "POST", body: "x" }).jsonSync()).toMatchObject({ method: "POST", text: "x" });
  });

  test("errors are fetch's own, and show who called", () => {
    function caller(fn: () => unknown): NodeJS.ErrnoException {
      const error = thrown(fn);
      expect(error.stack).toMatch(/caller/);
      expect(error.stack).not.toMatch(/park-worker|synckit/);
      return error;
    }
    expect(caller(() => fetchSync("http://127.0.0.1:1/"))).toMatchObject({
      name: "TypeError",
      message: "fetch failed",
    });
    expect(caller(() => fetchSync("no url"))).toMatchObject({ name: "TypeError", cause: { code: "ERR_INVALID_URL" } });
    expect(caller(() => fetchSync(`${origin}/bytes?count=2`).jsonSync())).toMatchObject({ name: "SyntaxError" });
    expect(caller(() => fetchSync(`${origin}/half`).textSync())).toMatchObject({
      name: "TypeError",
      message: "terminated",
    });
    const res = fetchSync(origin);
    res.textSync();
    expect(caller(() => res.textSync())).toMatchObject({
      name: "TypeError",
      message: expect.stringMatching(/unusable/),
    });
  });

  test("a signal that is aborted ends it with the reason; what cannot be heeded is refused by name", () => {
    const reason = new Error("enough");
    expect(thrown(() => fetchSync(origin, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(thrown(() => fetchSync(new Request(origin, { signal: AbortSignal.abort(reason) })))).toBe(reason);
    const refused: [RequestInit, string][] = [
      [{ signal: AbortSignal.timeout(60_000) }, "init.signal"],
      [{ method: "POST", body: new ReadableStream(), duplex: "half" } as never, "init.body"],
      [{ dispatcher: {} } as never, "init.dispatcher"],
    ];
    for (const [init, name] of refused) {
      const error = thrown(() => fetchSync(origin, init));
      expect(error).toMatchObject({ code: "ERR_NOT_IN_FIBER", message: expect.stringContaining(name) });
    }
    const request = new Request(origin, { method: "POST", body: "x" });
    expect(thrown(() => fetchSync(request))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
  });

  test("the body can be read in the asynchronous way, too", async () => {
    expect(await fetchSync(`${origin}/slow`).text()).toBe("one two");
    await expect(fetchSync(`${origin}/half`).text()).rejects.toMatchObject({ name: "TypeError" });
  });
});
