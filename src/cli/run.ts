// runtime run: a program in the main fiber.
import Module = require("node:module");

import { pathToFileURL } from "node:url";
import { Fiber, info, patch, runMain, wait } from "runtime"; // the package itself, so that there is one hub

type Load = (request: string, parent: null, isMain: boolean) => unknown;

/**
 * @param file the program's absolute path; CommonJS or ESM, as Node would take it
 * @param args its command line, from process.argv[2] on
 */
export function run(file: string, args: string[]): void {
  process.argv = [process.argv[0] as string, file, ...args];
  patch();
  const program = () => load(file);
  if (info().switch === "none") program();
  else runMain(program);
}

function load(file: string): void {
  try {
    (Module as unknown as { _load: Load })._load(file, null, true);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_REQUIRE_ESM") throw error;
    const module = import(pathToFileURL(file).href); // its own top-level code runs on the hub, as all ESM does
    if (Fiber.current !== null) wait(module);
  }
}
