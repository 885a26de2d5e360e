// What a pool and its threads say to each other, by way of piscina.
import type { Cargo } from "../cargo";

/**
 * A function, as text: the first letter tells whether the rest is the text of a strict one, "f", or of a sloppy one, "s"; or
 * the name of an export, a line's end, and its module's URL, "m".
 */
export type Callee = string;

/** What is sent to a thread: the arguments; alone, where there is nothing else to say. */
export type Request = unknown[] | (Cargo & { readonly progress?: unknown });

/** What a thread answers: the result, or what was thrown. A result that is no object comes as it is. */
export interface Reply extends Cargo {
  readonly failed?: true;
  /** How many reports the task has sent before. */
  reports?: number;
}

/** What all threads of a pool are told. */
export interface ThreadData {
  /** The program's main module, from which functions `require`. */
  readonly main: string;
}
