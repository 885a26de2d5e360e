// What the tests of serve() in this process share.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type App, type AppServer, type ServeOptions, serve } from "runtime";
import { afterAll, afterEach, beforeEach, vi } from "vitest";

export const open: AppServer[] = [];
export const directory = mkdtempSync(path.join(tmpdir(), "runtime-serve-"));
export const logged = vi.spyOn(console, "error");

afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  logged.mockReset().mockImplementation(() => {});
});
afterEach(async () => {
  for (const server of open.splice(0)) await server.close({ grace: 0 });
});

/** A server that is closed after the test. */
export async function started(
  app: App | string | URL,
  options: ServeOptions = {},
): Promise<AppServer & { url: string }> {
  const server = serve(app, { port: 0, ...options });
  open.push(server);
  await server.ready;
  return server as AppServer & { url: string };
}

/** What was logged, as text. */
export function log(): string {
  return logged.mock.calls
    .map((args) => args.map((arg) => (arg instanceof Error ? arg.stack : arg)).join(" "))
    .join("\n");
}
