// What the scheduler and a thread tell each other, about the one request that the thread has at a time.
import type { MessagePort } from "node:worker_threads";

/** What a thread is started with. */
export interface ThreadData {
  /** The app's module. */
  file: string;
  port: MessagePort;
  shared: Int32Array;
  /** RUNTIME_SWITCH as it is outside: the thread's own says "none" while it loads. */
  forcedSwitch: string | undefined;
}

/** Places in a thread's shared memory. */
export const enum Shared {
  /** Counts the messages to the thread, which sleeps here while it waits for one. */
  Sent,
  /** Bytes of the response that its connection has taken. */
  Taken,
  /** Whether the thread is to be told when there is room for more of the response. */
  Waiting,
  Size,
}

/** Bytes, of either body, that may be on their way between two threads. */
export const WINDOW = 128 * 1024;

export type ToThread =
  | RequestHead
  | { type: "chunk"; chunk: Uint8Array }
  /** The request's body is whole. */
  | { type: "complete"; trailers: string[] }
  /** The client has gone, or cannot be read from any more. */
  | { type: "gone"; code: string; message: string }
  | { type: "room" }
  | { type: "exit" };

export interface RequestHead {
  type: "request";
  method: string;
  url: string;
  httpVersionMajor: number;
  httpVersionMinor: number;
  /** Names and values. */
  headers: string[];
  joinDuplicateHeaders: boolean | null | undefined;
  /** Whether a body follows. */
  hasBody: boolean;
  keepAlive: boolean;
  socket: SocketFacts;
}

/** What can be told of a connection. */
export interface SocketFacts {
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  remoteFamily: string | undefined;
  localAddress: string | undefined;
  localPort: number | undefined;
  localFamily: string | undefined;
  /** Properties that a TLS socket has besides. */
  encrypted: Record<string, unknown> | undefined;
}

export type FromThread =
  /** The app, and whether it would take upgrades, which no thread can. */
  | { type: "loaded"; upgrades: boolean }
  | Output
  /** So many bytes of the request's body have been taken. */
  | { type: "took"; bytes: number }
  /** The app has destroyed the connection. */
  | { type: "destroyed" }
  /** The thread is free for another request. */
  | { type: "done" };

/** A part of the response. */
export interface Output {
  type: "output";
  /** Responses before the response, "100 Continue" and the like, as they go over the wire. */
  informational: string;
  head: ResponseHead | null;
  chunks: Chunk[];
  /** Lines, if this is the end; null before that. */
  end: string | null;
}

export type Chunk = string | Uint8Array;

export interface ResponseHead {
  status: number;
  message: string;
  /** Names and values. */
  headers: string[];
  /** What the app has chosen for the connection after this response. */
  keepAlive: boolean;
  /** Of the body, in bytes, where Node knows it and the app has not told. */
  length: number | undefined;
  /** Headers that the app has removed: Node is not to add them. */
  removed: string[];
}
