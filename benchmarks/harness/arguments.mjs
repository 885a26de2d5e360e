// What `runtime bench` is asked for.
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

/** The benchmarks, each a file, in the order in which they run; by the group that has them all. */
const groups = {
  switch: ["pair", "spawn", "memory", "many", "collections", "gc"],
  sync: ["sync"],
  fs: ["fs"],
  net: ["net"],
  http: ["http-hello", "http-sleep", "http-file", "http-upstream", "http-workers", "client"],
  db: ["db"],
  cpu: ["offload", "http-cpu"],
  start: ["start"],
  park: ["park"],
};

export const usage = `Usage:
  runtime bench [NAME ...] [options]

Runs benchmarks beside what does the same work otherwise, in interleaved rounds, and prints what came out.
NAME is a group or a benchmark in one; all of them unless some are named:

${Object.entries(groups)
  .map(([group, names]) => `  ${group.padEnd(8)} ${names.join(", ")}`)
  .join("\n")}

  --peers NAMES        only these beside ours, with commas between: async,gevent (all that are installed)
  --connections N,...  numbers of connections, one after another, in all of http but client, and in net
  --duration SECONDS   of load on a server, each time
  --rounds N           in how many rounds the contestants take turns
  --quick              one short round of each, without warming up: does it work
  --json FILE          writes everything that was measured
  --results FILE       writes tables in Markdown
  --report FILE        writes a page with charts, in HTML
  --list               tells the benchmarks, and who plays in them
  --help               this text
`;

const text = { type: "string" };
const flag = { type: "boolean", default: false };
const options = {
  peers: text,
  connections: text,
  duration: text,
  rounds: text,
  json: text,
  results: text,
  report: text,
  quick: flag,
  list: flag,
  help: { ...flag, short: "h" },
};

/**
 * @param args what follows the command's name
 * @returns the flags, numbers as such; `peers` and `connections` as lists; `names`: the benchmarks' files
 * @throws Error which names what is wrong
 */
export function readArguments(args) {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  for (const name of ["json", "results", "report"]) if (values[name] !== undefined) checkFile(name, values[name]);
  return {
    ...values,
    names: namesOf(positionals),
    peers: values.peers === undefined ? undefined : listOf("peers", values.peers, String),
    connections: listOf("connections", values.connections, wholeNumber),
    rounds: wholeNumber("rounds", values.rounds),
    duration: positiveNumber("duration", values.duration),
  };
}

function namesOf(given) {
  const all = Object.values(groups).flat();
  const unknown = given.filter((name) => groups[name] === undefined && !all.includes(name));
  if (unknown.length > 0) {
    const known = [...new Set([...Object.keys(groups), ...all])];
    throw new Error(`there is no benchmark ${unknown.join(", ")}. There are: ${known.join(", ")}`);
  }
  const asked = new Set(given.flatMap((name) => groups[name] ?? [name]));
  return given.length === 0 ? all : all.filter((name) => asked.has(name));
}

function listOf(flag, value, read) {
  return value?.split(",").map((one) => {
    if (one === "") throw new Error(`--${flag} has an empty place: ${value || '""'}`);
    return read === String ? one : read(flag, one);
  });
}

function wholeNumber(flag, value) {
  if (value !== undefined && !/^[1-9]\d{0,8}$/.test(value))
    throw new Error(`--${flag} must be a whole number from 1 on, not ${value || '""'}`);
  return value === undefined ? undefined : Number(value);
}

function positiveNumber(flag, value) {
  if (value !== undefined && !(/^\d+(\.\d+)?$/.test(value) && Number(value) > 0))
    throw new Error(`--${flag} must be a number of seconds above 0, not ${value || '""'}`);
  return value === undefined ? undefined : Number(value);
}

/** Before a quarter of an hour's work, rather than after. */
function checkFile(flag, file) {
  if (file === "") throw new Error(`--${flag} must name a file`);
  try {
    accessSync(path.dirname(path.resolve(file)), constants.W_OK);
  } catch (error) {
    throw new Error(`--${flag}: ${error.message}`);
  }
}
