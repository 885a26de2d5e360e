// What the supervisor and its workers tell each other. Other messages are the app's own.
import type { ServeOptions } from "./options";

/** Files, which a worker reads when it starts, so that a reload takes up new certificates. */
export interface TlsFiles {
  cert: string;
  key: string;
}

/** To a worker: what to serve. The socket to listen with comes along. Options that are not given have no place here. */
export interface Start {
  runtime: "start";
  file: string;
  options: Omit<ServeOptions, "tls">;
  tls: TlsFiles | undefined;
  /** Among how many workers. */
  workers: number;
}

/** To a worker: end, as `Front#close` does. */
export interface Stop {
  runtime: "stop";
  grace: number;
  idle: "close" | "keep";
  shared: boolean;
}

/** From a worker: it listens. */
export interface Ready {
  runtime: "ready";
  engine: string;
}

/** From a worker, if there are others: how many connections it has. */
export interface Load {
  runtime: "load";
  connections: number;
}

/** To a worker: how many of its connections are to go to others, as `Front#shed` does. */
export interface Shed {
  runtime: "shed";
  connections: number;
}

export type Message = Start | Stop | Ready | Load | Shed;

export function isMessage(message: unknown): message is Message {
  return typeof message === "object" && message !== null && typeof (message as Message).runtime === "string";
}
