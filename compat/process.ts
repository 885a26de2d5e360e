// process: listeners of signals, and of messages from the parent process, start in fibers.
import { inOrder, listenInFibers } from "./emitters";
import type { ModulePatch } from "./patching";

const messages = new Set<string | symbol>(["message", "disconnect"]);

export const processPatch: ModulePatch = {
  name: "process",
  apply(define) {
    listenInFibers(define, process, (event) => {
      if (messages.has(event)) return inOrder();
      // A signal waits for nobody: what handles the first may be what the second is to end.
      return typeof event === "string" && event.startsWith("SIG") ? "each" : undefined;
    });
  },
};
