// Chooses the engine.
import { theSwitch } from "../../runtime/coroutine";
import { invalidArgument, noFibers } from "../../runtime/errors";
import type { App } from "./app";
import type { Engine } from "./engine";
import { createFibersEngine } from "./fibers";
import { loadApp, pathOf, upgradeOf } from "./load";
import type { EngineName, Settings } from "./options";

/** The name of the engine to use here. */
export function engineName({ engine }: Settings): EngineName {
  const { stacks, reason } = theSwitch();
  if (engine === "fibers" && stacks === null) throw noFibers(reason);
  if (engine !== "auto") return engine;
  return stacks === null ? "workers" : "fibers";
}

/**
 * An engine that runs `app`, or what a file exports.
 * @throws what loading that file throws
 */
export async function createEngine(app: App | string | URL, settings: Settings): Promise<Engine> {
  const { maxFibers, requestTimeout } = settings;
  if (engineName(settings) === "fibers") {
    const loaded = typeof app === "function" ? { app, upgrade: upgradeOf([app]) } : await loadApp(pathOf(app));
    const { upgrade = loaded.upgrade } = settings;
    return createFibersEngine(loaded.app, { upgrade, maxFibers, requestTimeout });
  }
  if (typeof app === "function") {
    throw invalidArgument("app", 'the path or URL of a file, for the engine "workers" to load it in its threads', app);
  }
  if (settings.upgrade !== undefined) {
    throw invalidArgument("options.upgrade", 'left out for the engine "workers", which takes none', settings.upgrade);
  }
  const { createWorkersEngine } = require("./workers") as typeof import("./workers");
  const { minThreads: min, maxThreads: max, maxQueue } = settings;
  const engine = createWorkersEngine(pathOf(app), { min, max, maxQueue, requestTimeout });
  try {
    await engine.ready;
  } catch (error) {
    await engine.close(0);
    throw error;
  }
  return engine;
}
