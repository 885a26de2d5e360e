// What the tests of the drop-ins share.
import path from "node:path";
import { describe } from "vitest";
import { describeFibers, hasFibers } from "../../support/fibers";
import { scratchProject } from "../../support/npm";
import { type Outcome, type RunOptions, run } from "../../support/run";

const root = path.join(__dirname, "..", "..", "..");

type FiberPackage = typeof import("../../../compat/fibers/fiber");
type FuturePackage = typeof import("../../../compat/fibers/future");

// Where there are no fibers, these cannot be loaded, and nothing in the tests is run.
export const Fiber: FiberPackage = hasFibers ? require(path.join(root, "dist", "fibers.js")) : undefined;
export const Future: FuturePackage = hasFibers ? require(path.join(root, "dist", "future.js")) : undefined;

/** Runs a program under the patch, which finds this package's devDependencies by `installed`. */
export function runWithLibraries(program: string, options: RunOptions = {}): Promise<Outcome> {
  const head = `require("runtime/patch");
    const installed = require("node:module").createRequire(${JSON.stringify(path.join(root, "package.json"))});\n`;
  return run(head + program, options);
}

/**
 * Tests with packages that are installed for them in a project of its own; without fibers, or if they cannot be installed,
 * these are skipped, and why is said.
 * @param tests is told in which folder the packages are
 */
export async function describeWithPackages(
  name: string,
  project: string,
  dependencies: Record<string, string>,
  tests: (modules: string) => void,
): Promise<void> {
  const directory = hasFibers ? await scratchProject(project, dependencies) : "";
  if (directory === null) console.log(`${name}: skipped, it could not be installed`);
  const describeHere = directory === null ? describe.skip : describeFibers;
  describeHere(name, () => tests(path.join(directory ?? "", "node_modules")));
}
