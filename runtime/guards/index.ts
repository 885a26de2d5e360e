// Remedies for the places where a stack must not be left half-way. Each file tells what would happen without it.
import { guardAddons } from "./addons";
import { guardArrayJoin } from "./array-join";
import { guardAsyncScopes } from "./async-scope";
import { guardExit } from "./exit";
import { guardIds } from "./ids";
import { guardJson } from "./json";
import { guardModules } from "./modules";
import { guardSqlite } from "./sqlite";
import { guardTls } from "./tls";
import { guardVm } from "./vm";
import { guardWasm } from "./wasm";

let installed = false;

/** Installs all of them, once a thread. */
export function installGuards(): void {
  if (installed) return;
  installed = true;
  guardAsyncScopes();
  guardArrayJoin();
  guardModules();
  guardAddons();
  guardTls();
  guardSqlite();
  guardVm();
  guardWasm();
  guardJson();
  guardExit();
  guardIds();
}
