// The last connections of a socket that is going to be closed: the system has made those already that wait to be accepted,
// and would reset them.
import type net from "node:net";

import { now } from "../../runtime/clock";
import { addonOrNull } from "../../runtime/switch";
import { BACKLOG } from "./address";

/** A turn of the event loop in which so many milliseconds went by tells nothing of who has come at its end. */
const SHORT = 0.5;

/**
 * Accepts all who wait for that. Where the system can, it lets nobody wait any more then, so that the socket can be closed
 * without harm: who begins to connect in that instant tries again, and is refused, or finds another server.
 * @param shared whether others go on listening with the same socket
 */
export async function acceptLast(server: net.Server, shared: boolean): Promise<void> {
  await acceptWaiting(server);
  if (!shared && deafen(server)) await acceptWaiting(server);
}

/** libuv accepts one a turn. */
async function acceptWaiting(server: net.Server): Promise<void> {
  let accepted = 0;
  const count = () => {
    accepted++;
  };
  server.on("connection", count);
  let quiet = 0;
  for (let turn = 0; quiet < 2 && turn < BACKLOG; turn++) {
    const before = accepted;
    const begun = now();
    await new Promise((resolve) => setImmediate(resolve));
    quiet = accepted === before && now() - begun < SHORT ? quiet + 1 : 0;
  }
  server.off("connection", count);
}

/** A Unix socket needs none of that: it is removed before it is closed. */
function deafen(server: net.Server): boolean {
  const { _handle: handle } = server as net.Server & { _handle: { fd?: number } | null };
  if (handle?.constructor.name !== "TCP" || handle.fd === undefined || handle.fd < 0) return false;
  return addonOrNull()?.deafen(handle.fd) === 0;
}
