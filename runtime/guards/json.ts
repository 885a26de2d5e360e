// JSON.stringify on V8 12 (Node 22).
//
// There the serializer puts itself onto a per-isolate list that must be left in the reverse order: two fibers that
// suspend in it (in a getter, a toJSON, a replacer) and come back in another order abort the process. Later and
// earlier versions keep no such list.
import { current, pinned } from "../coroutine";
import { replace } from "../disguise";

export function guardJson(): void {
  if (!process.versions.v8.startsWith("12.")) return;
  replace(
    JSON,
    "stringify",
    (stringify) =>
      function (this: unknown, ...args: unknown[]) {
        if (current === null) return Reflect.apply(stringify, this, args);
        return pinned("inside JSON.stringify, on this version of V8", () => Reflect.apply(stringify, this, args));
      },
  );
}
