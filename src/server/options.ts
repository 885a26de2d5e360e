// What can be chosen about a server, and what must be right about it.
import type { SecureContextOptions, TlsOptions } from "node:tls";

import { checkCount, checkDuration, checkFunction, invalidArgument, outOfRange } from "../../runtime/errors";
import type { LogFormat } from "./access-log";
import type { UpgradeHandler } from "./upgrade";

export type EngineName = "fibers" | "workers";

export interface ServeOptions {
  /** The name or address to listen at. Default "127.0.0.1": this machine only; "::" is every address. */
  host?: string;
  /** Default 8000; 0 for one that is free. */
  port?: number;
  /** The path of a Unix socket to listen at, in place of `host` and `port`. One that a server has left behind is replaced. */
  socket?: string;
  /** Serves https: `key` and `cert`, and all else that `https.createServer` takes. Default: http. */
  tls?: SecureContextOptions & TlsOptions;
  /**
   * What runs the app: a fiber for each request ("fibers"), or a thread that it has to itself ("workers", for an app that is
   * given by its file). Default "auto": fibers where there are any.
   */
  engine?: EngineName | "auto";
  /**
   * Takes upgrades: `upgrade(req, socket, head, signal)`, in a fiber. Default: what the app's file exports by that name, or
   * the app has; else a request for an upgrade is one as any other. For the engine "fibers".
   */
  upgrade?: UpgradeHandler;
  /** How many handlers may be under way; requests above that wait for their turn. For the engine "fibers". Default 10,000. */
  maxFibers?: number;
  /** Threads that are always there. For the engine "workers". */
  minThreads?: number;
  /** The most threads that there may be. For the engine "workers". */
  maxThreads?: number;
  /** Requests that may wait for a thread; those above that are answered with 503. For the engine "workers". */
  maxQueue?: number;
  /**
   * Milliseconds from a request's head to the end of its response. After that its fiber is killed, or its thread is replaced,
   * and the client gets 504; if a part of the response has been sent, the connection is cut. Of an upgrade, to the answer.
   * Default Infinity: no limit.
   */
  requestTimeout?: number;
  /** Bytes that a request's head may have; more is answered with 431. Default 16,384, as in Node. */
  maxHeaderSize?: number;
  /** Bytes that a request's body may have; more is answered with 413. Default Infinity: no limit. */
  maxBodySize?: number;
  /** A file to append a line to for each request that could be read; "-" is standard output. Default: none. */
  accessLog?: string;
  /** "common", or "combined", with referer and user agent. Default "combined". */
  logFormat?: LogFormat;
  /** Milliseconds that requests, and upgraded connections, have to end after `close`; what has not is killed. Default 30,000. */
  grace?: number;
}

const defaults = {
  host: "127.0.0.1",
  port: 8000,
  engine: "auto",
  maxFibers: 10_000,
  requestTimeout: Number.POSITIVE_INFINITY,
  maxHeaderSize: 16_384,
  maxBodySize: Number.POSITIVE_INFINITY,
  logFormat: "combined",
  grace: 30_000,
} as const satisfies ServeOptions;

/** Options with the defaults. */
export type Settings = ServeOptions & Required<Pick<ServeOptions, keyof typeof defaults>>;

type Check = (value: unknown, name: string) => void;

const checks: Record<keyof ServeOptions, Check> = {
  host: checkText,
  port: checkPort,
  socket: checkText,
  tls: checkObject,
  upgrade: checkFunction,
  engine: oneOf("auto", "fibers", "workers"),
  maxFibers: atLeast(1),
  minThreads: atLeast(0),
  maxThreads: atLeast(1),
  maxQueue: atLeast(0),
  requestTimeout: checkTimeout,
  maxHeaderSize: checkHeaderSize,
  maxBodySize: atLeast(0),
  accessLog: checkText,
  logFormat: oneOf("common", "combined"),
  grace: checkDuration,
};

/**
 * Checks options, and adds the defaults.
 * @param nameOf what the caller calls an option
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, with the name of the option
 */
export function settingsOf(options: ServeOptions, nameOf = (option: string) => `options.${option}`): Settings {
  checkObject(options, "options");
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [option, value] of given) {
    if (!Object.hasOwn(checks, option))
      throw invalidArgument(nameOf(option), "left out: there is no such option", value);
    checks[option as keyof ServeOptions](value, nameOf(option));
  }
  const { minThreads = 0, maxThreads = Number.POSITIVE_INFINITY } = options;
  if (minThreads > maxThreads) throw outOfRange(nameOf("minThreads"), `at most ${nameOf("maxThreads")}`, minThreads);
  return { ...defaults, ...Object.fromEntries(given) };
}

function checkText(value: unknown, name: string): void {
  if (typeof value !== "string") throw invalidArgument(name, "of type string", value);
  if (value === "") throw outOfRange(name, "not empty", '""');
}

function checkObject(value: unknown, name: string): void {
  if (typeof value !== "object" || value === null) throw invalidArgument(name, "of type object", value);
}

function checkPort(value: unknown, name: string): void {
  if (typeof value !== "number") throw invalidArgument(name, "of type number", value);
  if (!(Number.isInteger(value) && value >= 0 && value < 65_536)) throw outOfRange(name, "from 0 to 65535", value);
}

function checkTimeout(value: unknown, name: string): void {
  checkDuration(value, name);
  if (value === 0) throw outOfRange(name, "> 0 (milliseconds)", value);
}

/** What Node can count. */
function checkHeaderSize(value: unknown, name: string): void {
  checkCount(value, name, 1);
  if (value > 2 ** 31 - 1) throw outOfRange(name, `at most ${2 ** 31 - 1} (bytes)`, value);
}

function atLeast(least: number): Check {
  return (value, name) => checkCount(value, name, least);
}

function oneOf(...words: string[]): Check {
  return (value, name) => {
    if (typeof value !== "string") throw invalidArgument(name, `one of ${words.join(", ")}`, value);
    if (!words.includes(value)) throw outOfRange(name, `one of ${words.join(", ")}`, value);
  };
}
