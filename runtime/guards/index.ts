// Remedies for the places where a stack must not be left half-way. Each file tells what would happen without it.
import { forgoFibers } from "../coroutine";
import { guardAddons } from "./addons";
import { guardArrayJoin } from "./array-join";
import { guardAsyncExit } from "./async-exit";
import { guardAsyncScopes } from "./async-scope";
import { guardSteps } from "./debuggers";
import { guardExit } from "./exit";
import { guardIds } from "./ids";
import { guardJson } from "./json";
import { guardModules } from "./modules";
import { guardSqlite } from "./sqlite";
import { guardTls } from "./tls";
import { guardVm } from "./vm";
import { guardWasm } from "./wasm";
import { guardWatch } from "./watch";

let installed = false;

/** Installs all of them, once a thread. */
export function installGuards(): void {
  if (installed) return;
  installed = true;
  if (Object.isFrozen(Array.prototype)) {
    forgoFibers("built-in objects are frozen (--frozen-intrinsics), so what would abort V8 cannot be prevented");
    return;
  }
  guardAsyncScopes();
  guardAsyncExit();
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
  guardWatch();
  guardSteps();
}
