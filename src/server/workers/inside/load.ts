// Loads an app's module: CommonJS, an ES module, or TypeScript.
import Module = require("node:module");

import { pathToFileURL } from "node:url";

import { noApp } from "../../../../runtime/errors";
import { provideTypeScript } from "../../../typescript";
import type { App } from "../../app";

/** What the module exports: by default, or by itself. */
export async function loadApp(file: string): Promise<App> {
  const byTsx = provideTypeScript(file);
  const exported = byTsx ? Module.createRequire(file)(file) : await import(pathToFileURL(file).href);
  const app = defaultOf(defaultOf(exported)); // of an ES module that was compiled to CommonJS, and then imported
  if (typeof app !== "function") throw noApp(file, app);
  return app as App;
}

function defaultOf(exported: unknown): unknown {
  if (typeof exported !== "object" || exported === null) return exported;
  return "default" in exported ? exported.default : exported;
}
