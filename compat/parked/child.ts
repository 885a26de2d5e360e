// The end of a child process, for code out of fibers: Node hears of it only in its event loop, the system knows.
import type { ChildProcess } from "node:child_process";

import fs = require("node:fs");
import os = require("node:os");

import { refusal } from "../../runtime/block";
import { poll } from "../../runtime/park/poll";

// As it was before anybody patched it.
const { readFileSync } = fs;

export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * Sleeps until the process has ended.
 * @throws Timeout after `ms` milliseconds; ERR_NOT_IN_FIBER where the system does not tell how: it has to be Linux, and the
 *   process this user's
 */
export function endOf({ pid }: ChildProcess, ms: number): End {
  if (process.platform !== "linux" || pid === undefined) throw refusal();
  return poll(ms, () => endNow(pid));
}

/** See proc(5). Node has not waited for the process yet, so that it is there, ended or not. */
function endNow(pid: number): End | undefined {
  const stat = read(pid, "stat");
  // The second field is a name in brackets, which may contain anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] !== "Z") return undefined;
  if (!isOurs(pid)) throw refusal(); // it would be shown to have ended with 0
  const status = Number(fields[49]);
  const signal = status & 0x7f;
  return signal === 0 ? { code: status >> 8, signal: null } : { code: null, signal: signalName(signal) };
}

function isOurs(pid: number): boolean {
  const [, ...uids] = /^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$/m.exec(read(pid, "status")) ?? [];
  const user = process.geteuid?.();
  return user === 0 || (uids.length > 0 && uids.every((uid) => Number(uid) === user));
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    throw refusal();
  }
}

function signalName(number: number): NodeJS.Signals {
  const [name] = Object.entries(os.constants.signals).find(([, value]) => value === number) ?? [];
  return (name ?? `SIG${number}`) as NodeJS.Signals;
}
