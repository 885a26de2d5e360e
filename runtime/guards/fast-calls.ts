// Fast API calls, from about V8 12.5 on (Node 24).
//
// Optimized code calls some functions of Node's (Buffer.byteLength, for one) without leaving the frame that V8 looks for first
// when it walks a stack: it notes the calling frame elsewhere, once for all threads. If such a function allocates, and so
// collects garbage, V8 begins its walk of every suspended stack at that frame, which is the running one's: it sees nothing
// of theirs, and what it does see it sees once for each of them. The heap is corrupt then. So no code is to be optimized in
// that way, from before there is any that is hot.
import { loadAddon } from "../switch";

const [major = 0, minor = 0] = process.versions.v8.split(".").map(Number);
const mayAllocate = major > 12 || (major === 12 && minor >= 5);

/**
 * Makes V8 call those functions as all others. And no longer collect wasm code: what it had begun of that before the first
 * fiber it would carry out beside some, and abort. Not before Node's modules are loaded that are needed anyway: with any such
 * setting V8 no longer takes the code that Node has compiled for them beforehand.
 */
export function forbidFastCalls(): void {
  if (!mayAllocate) return;
  try {
    loadAddon().forbidFastCalls();
  } catch {
    // Where there is no addon, there are no other stacks.
  }
}
