// What a thread inherits of the options that the process was started with: all but the patch.
import path = require("node:path");

type Inherited = { execArgv?: string[]; env?: NodeJS.ProcessEnv };

const WITH_MODULE = ["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"];
const OTHERS =
  /^--(enable-source-maps|no-warnings|preserve-symlinks|experimental-(strip|transform)-types|no-experimental-strip-types)$/;

/**
 * Options for a Worker so that it does not preload what of this package the process has preloaded, `--import runtime/patch`
 * for one: it would cost each thread its start, for nothing. Empty, and Node does as ever, where there is nothing of it.
 */
export function inheritedOptions(): Inherited {
  const { execArgv, env } = process;
  const options = env.NODE_OPTIONS?.split(/\s+/) ?? [];
  const inArgv = flags(execArgv);
  const inOptions = flags(options);
  if (!hasOurs(inArgv) && !hasOurs(inOptions)) return {};
  // Node refuses a worker whose own options are such as only a process can have: so those about modules, and no others.
  const rest = (all: Flag[]) =>
    all.filter(({ name, value }) => isKept(name) && !isOurs(value)).flatMap(({ words }) => words);
  return {
    execArgv: rest(inArgv),
    env: { ...env, ...(options.length > 0 && { NODE_OPTIONS: rest(inOptions).join(" ") }) },
  };
}

interface Flag {
  readonly name: string;
  readonly value: string | undefined;
  readonly words: readonly string[];
}

function flags(args: readonly string[]): Flag[] {
  const found: Flag[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] as string;
    const [name, value] = word.split("=", 2) as [string, string?];
    if (value === undefined && WITH_MODULE.includes(name))
      found.push({ name, value: args[++i], words: args.slice(i - 1, i + 1) });
    else found.push({ name, value, words: [word] });
  }
  return found;
}

const isKept = (name: string) => WITH_MODULE.includes(name) || OTHERS.test(name);
const hasOurs = (all: readonly Flag[]) => all.some(({ value }) => isOurs(value));

function isOurs(module: string | undefined): boolean {
  if (module === undefined) return false;
  return /^runtime\/(patch|run)$/.test(module) || path.dirname(module.replace(/^file:\/\//, "")) === __dirname;
}
