// The fibers that a process has when its last request is done.
import { livingFibers } from "../../runtime/coroutine";
import { fibers } from "../../runtime/observe/fibers";
import type { FiberRecord } from "../../runtime/observe/record";
import { delayed } from "../../runtime/observe/record";
import { within } from "./front";
import { exit } from "./job";

/** Milliseconds that fibers have for their `finally` blocks when they are killed. */
export const LAST_WORDS = 750;
/** So many are told of, by name, when they are killed because the time is over. */
const MANY = 10;

/**
 * What lives by now, before the first request, is there for as long as the process: so it is not waited for at the end, nor
 * are the fibers that it creates.
 */
export function markResidents(): void {
  for (const { record } of livingFibers()) record.resident = true;
  for (const record of delayed) record.resident = true;
}

/**
 * Gives what requests have left behind `grace` milliseconds to end, then kills all fibers, and resolves when their `finally`
 * blocks have run. What a timer is going to start is not waited for.
 */
export async function endFibers(grace: number): Promise<void> {
  const working = () => records().filter(({ resident }) => !resident);
  await within(grace, whenEnded(working));
  report(new Set(working().map(({ id }) => id)));
  for (const fiber of livingFibers()) fiber.interruptLater(exit("the server is shut down"));
  await within(LAST_WORDS, whenEnded(records));
}

function records(): FiberRecord[] {
  return [...livingFibers()].map(({ record }) => record);
}

/** Resolves when there are none, nor any that they have created meanwhile. */
async function whenEnded(list: () => FiberRecord[]): Promise<void> {
  for (let some = list(); some.length > 0; some = list()) await Promise.all(some.map(ended));
}

function ended(record: FiberRecord): Promise<void> {
  return new Promise((resolve) => record.atEnd(resolve));
}

function report(ids: Set<number>): void {
  if (ids.size === 0) return;
  const lines = fibers()
    .filter(({ id }) => ids.has(id))
    .map(({ id, name, where }) => `\n    ${name || "(anonymous)"} (${id})${where && ` at ${where}`}`);
  const more = lines.length > MANY ? `\n    and ${lines.length - MANY} more` : "";
  console.error(
    `Killed, since the server is shut down, what requests had left behind:${lines.slice(0, MANY).join("")}${more}`,
  );
}
