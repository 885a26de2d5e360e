// runtime serve [options] FILE
import fs = require("node:fs");
import path = require("node:path");

import { parseArgs } from "node:util";

import { type ServeOptions, settingsOf, supervise } from "runtime"; // the package itself, so that there is one hub

export const serveUsage = `Usage:
  runtime serve [options] FILE

Serves the app that FILE exports, as module.exports or by default: Node's (req, res) => { ... }, so an Express app too; or
(req) => ({ status, headers, body }), or a Response. CommonJS, an ES module, or TypeScript. The app may block. If FILE exports
upgrade(req, socket, head, signal), too, that takes upgrades (WebSockets), in a fiber; worker threads answer them with 501.

  --host HOST             the name or address to listen at (127.0.0.1)
  --port PORT             0 for one that is free (8000)
  --socket PATH           a Unix socket to listen at, in place of host and port
  --tls-cert FILE         serves https, with this certificate
  --tls-key FILE          and this private key; both in PEM
  --workers N             processes that serve (1)
  --engine NAME           fibers, a fiber for each request; workers, a thread; auto, fibers where there are any (auto)
  --max-fibers N          requests and upgrades that a process handles at the same time, with fibers (10000)
  --min-threads N         threads that a process always has, with workers
  --max-threads N         the most threads that a process has, with workers
  --max-queue N           requests that wait for a thread before others are answered with 503
  --request-timeout MS    from a request's head to the end of its response; then its fiber is killed, or its thread replaced,
                          and the client gets 504, or is cut off if the response has begun; of an upgrade, to its answer
                          (no limit)
  --max-header-size BYTES of a request's head; more is answered with 431 (16384)
  --max-body-size BYTES   of a request's body; more is answered with 413 (no limit)
  --access-log FILE       a line for each request; - is standard output (none)
  --log-format NAME       common or combined (combined)
  --load-timeout MS       that a process has to load the app, before it is ended (60000)
  --grace MS              that requests, upgraded connections, and then fibers that requests have left behind, have to end at the
                          end, before they are killed (30000)
  --help                  this text

SIGTERM and SIGINT (Ctrl-C) end it: it stops listening, lets requests and what they have spawned end, kills what is left, so that
"finally" blocks run, and exits with 0; a second one ends it at once.
SIGHUP reloads it: new workers, with the code that is there by then, take over before the old ones end.
`;

const text = { type: "string" } as const;

const flags = {
  host: text,
  port: text,
  socket: text,
  "tls-cert": text,
  "tls-key": text,
  workers: text,
  engine: text,
  "max-fibers": text,
  "min-threads": text,
  "max-threads": text,
  "max-queue": text,
  "request-timeout": text,
  "max-header-size": text,
  "max-body-size": text,
  "access-log": text,
  "log-format": text,
  "load-timeout": text,
  grace: text,
  help: { type: "boolean", short: "h" },
} as const;

const numbers = new Set<string>([
  ...["port", "max-fibers", "min-threads", "max-threads", "max-queue", "request-timeout", "max-header-size"],
  ...["max-body-size", "grace"],
]);

/** Not among `ServeOptions` by the same name. */
const own = new Set<string>(["tls-cert", "tls-key", "workers", "load-timeout", "help"]);

/** Runs the command. A mistake in its arguments is told on standard error, by the name of the flag, with exit code 2. */
export function serveCommand(args: string[]): void {
  try {
    const { values, positionals } = parseArgs({ args, options: flags, allowPositionals: true });
    if (values.help) process.stdout.write(serveUsage);
    else
      void supervise(fileOf(positionals), { ...processesOf(values), options: optionsOf(values), tls: tlsOf(values) });
  } catch (error) {
    process.stderr.write(`runtime serve: ${(error as Error).message}\nTry: runtime serve --help\n`);
    process.exitCode = 2;
  }
}

type Values = { [flag in keyof typeof flags]?: string | boolean | undefined };

function fileOf([file, ...more]: string[]): string {
  if (file === undefined) throw new Error("which FILE exports the app?");
  if (more.length > 0) throw new Error(`one FILE at a time, and not also ${more.join(" ")}`);
  try {
    return require.resolve(path.resolve(file));
  } catch {
    throw new Error(`there is no file ${file}`);
  }
}

function processesOf(values: Values): { workers: number; loadTimeout: number } {
  const { workers = "1", "load-timeout": loadTimeout = "60000" } = values;
  return { workers: countOf("--workers", workers), loadTimeout: countOf("--load-timeout", loadTimeout) };
}

function countOf(flag: string, value: string | boolean): number {
  if (!/^[1-9]\d*$/.test(String(value))) throw new Error(`${flag} must be a whole number from 1 on, not ${value}`);
  return Number(value);
}

function optionsOf(values: Values): ServeOptions {
  const options: Record<string, unknown> = {};
  for (const [flag, value] of Object.entries(values)) {
    if (own.has(flag)) continue;
    options[camelCase(flag)] = numbers.has(flag) ? numberOf(flag, value as string) : value;
  }
  if (values.socket !== undefined && (values.host ?? values.port) !== undefined) {
    throw new Error("--socket is in place of --host and --port");
  }
  settingsOf(options, (option) => `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  return options;
}

function numberOf(flag: string, value: string): number {
  if (!/^(\d+(\.\d+)?|Infinity)$/.test(value)) throw new Error(`--${flag} must be a number, not ${value || '""'}`);
  return Number(value);
}

function tlsOf({ "tls-cert": cert, "tls-key": key }: Values): { cert: string; key: string } | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw new Error("--tls-key needs --tls-cert, too");
  if (key === undefined) throw new Error("--tls-cert needs --tls-key, too");
  return { cert: readable("--tls-cert", cert as string), key: readable("--tls-key", key as string) };
}

function readable(flag: string, file: string): string {
  try {
    fs.accessSync(file, fs.constants.R_OK);
  } catch (error) {
    throw new Error(`${flag}: ${(error as Error).message}`);
  }
  return path.resolve(file);
}

function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
