// Where a server listens.
import fs = require("node:fs");
import net = require("node:net");

import type { Settings } from "./options";

export type Place = Pick<Settings, "host" | "port" | "socket">;

/** Connections that may wait for the server to accept them. (gunicorn: the same) */
export const BACKLOG = 2048;

/** What `server.listen` is to be given. */
export function listenOptions({ host, port, socket }: Place): net.ListenOptions {
  return socket === undefined ? { host, port, backlog: BACKLOG } : { path: socket, backlog: BACKLOG };
}

/** For people and clients: "http://127.0.0.1:8000"; of a Unix socket "unix:/run/app.sock". */
export function urlOf(address: net.AddressInfo | string, secure: boolean): string {
  if (typeof address === "string") return `unix:${address}`;
  const { family, address: host, port } = address;
  return `${secure ? "https" : "http"}://${family === "IPv6" ? `[${host}]` : host}:${port}`;
}

/** Removes the socket of a server that is gone without having removed it. Resolves when that is clear. */
export function removeStale(path: string): Promise<void> {
  return new Promise((resolve) => {
    const isSocket = fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
    if (!isSocket) {
      resolve(); // what else is there is not ours to remove, and listening will tell
      return;
    }
    const probe = net.connect(path, () => {
      probe.destroy();
      resolve();
    });
    probe.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") fs.rmSync(path, { force: true });
      resolve();
    });
  });
}
