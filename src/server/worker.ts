// A worker of `runtime serve`: one process that serves the app, and does what the supervisor tells it.
import fs = require("node:fs");

import { patch } from "../../compat";
import { now } from "../../runtime/clock";
import { createEngine, engineName } from "./engines";
import { type CloseOptions, Front, within } from "./front";
import { endFibers, LAST_WORDS, markResidents } from "./last-fibers";
import { type Handle, listenWith } from "./listening-handle";
import { isMessage, type Load, type Ready, type Start } from "./messages";
import { type Settings, settingsOf } from "./options";

/** How often a worker tells the supervisor how many connections it has, in milliseconds. */
const TELL_EVERY = 1000;

/** @internal Serves what the supervisor's first message names, until it is told to stop. */
export function serveAsWorker(): void {
  patch();
  // Ctrl-C, and the end of a terminal, reach all processes of a terminal: what they mean is for the supervisor to say.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
  let front: Front | undefined;
  let grace = 0;
  const stop = async (grace: number, options: CloseOptions) => {
    if (front) {
      const end = now() + grace;
      await within(grace + LAST_WORDS, front.close(grace, options));
      await endFibers(Math.max(0, end - now()));
    }
    process.exit();
  };
  process.on("SIGTERM", () => void stop(grace, { shared: true }));
  process.on("message", (message: unknown, handle: unknown) => {
    if (!isMessage(message)) return;
    if (message.runtime === "stop") void stop(message.grace, message);
    if (message.runtime === "shed") front?.shed(message.connections);
    if (message.runtime !== "start") return;
    const settings = settingsFor(message);
    grace = settings.grace;
    open(message.file, settings, handle as Handle).then(
      (opened) => {
        front = opened;
        send({ runtime: "ready", engine: engineName(settings) });
        if (message.workers > 1)
          setInterval(() => send({ runtime: "load", connections: opened.connections }), TELL_EVERY);
      },
      (error) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}

function send(message: Ready | Load): void {
  if (process.connected) process.send?.(message);
}

function settingsFor({ options, tls }: Start): Settings {
  if (tls === undefined) return settingsOf(options);
  return settingsOf({ ...options, tls: { cert: fs.readFileSync(tls.cert), key: fs.readFileSync(tls.key) } });
}

async function open(file: string, settings: Settings, handle: Handle): Promise<Front> {
  const front = new Front(await createEngine(file, settings), settings);
  markResidents();
  await new Promise<void>((resolve, reject) => {
    front.server.once("error", reject);
    front.server.once("listening", () => {
      front.server.off("error", reject);
      resolve();
    });
    listenWith(front.server, handle);
  });
  return front;
}
