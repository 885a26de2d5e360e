// What runs in a thread: loads the app, and handles one request at a time, on the thread's own stack.
import { workerData } from "node:worker_threads";

import { patch } from "../../../../compat";
import { handlerOf } from "../../app";
import { loadApp } from "../../load";
import type { ThreadData } from "../protocol";
import { Handling } from "./handling";
import { Link } from "./link";
import { teachRequests } from "./request";
import { teachResponses } from "./response";

/** @internal The program of a thread. What the app fails with while it loads goes uncaught. */
export async function runThread(): Promise<void> {
  const { file, port, shared, forcedSwitch } = workerData as ThreadData;
  if (forcedSwitch === undefined) delete process.env.RUNTIME_SWITCH;
  else process.env.RUNTIME_SWITCH = forcedSwitch; // for the app's children
  process.argv[1] = file;
  patch();
  teachRequests();
  teachResponses();
  const link = new Link(port, shared);
  const { app, upgrade } = await loadApp(file);
  const handler = handlerOf(app);
  let handling: Handling | null = null;
  link.listen((message) => {
    if (message.type === "exit") process.exit();
    else if (message.type !== "request") handling?.receive(message);
    else {
      handling = new Handling(link, message, () => {
        handling = null;
      });
      handling.run(handler);
    }
  });
  link.post({ type: "loaded", upgrades: upgrade !== undefined });
}
