// Which module another thread is to load.
import path = require("node:path");

import { pathToFileURL } from "node:url";
import { invalidArgument, invalidValue } from "../errors";

/**
 * The URL of a module: a URL object, or text that is an absolute path or a URL. Not a relative one: there is nothing here
 * that it could be relative to, but the working directory, which nobody means.
 */
export function moduleUrl(module: unknown, name: string): string {
  if (module instanceof URL || (typeof module === "object" && module !== null && "href" in module)) {
    return checkScheme(String((module as URL).href), name);
  }
  if (typeof module !== "string") {
    throw invalidArgument(name, "a function, or a module's URL or absolute path", module);
  }
  if (path.isAbsolute(module)) return pathToFileURL(module).href;
  if (/^(file|data|node):/.test(module)) return checkScheme(module, name);
  throw invalidValue(
    name,
    `must be a module's absolute path or URL, received "${module}": new URL("./task.js", import.meta.url), ` +
      'path.join(__dirname, "task.js"), or require.resolve() of a package',
  );
}

function checkScheme(url: string, name: string): string {
  if (/^(file|data|node):/.test(url)) return url;
  throw invalidValue(name, `must be a file:, data: or node: URL, received "${url}"`);
}
