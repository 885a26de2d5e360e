// Tasks of an ES module.
import { basename } from "node:path";
import { isMainThread } from "node:worker_threads";
import { progress, transfer } from "runtime/task";

export default function sum(...numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}

export const where = () => [basename(import.meta.url), isMainThread];

export async function half(bytes) {
  await null;
  return bytes.subarray(0, bytes.length / 2);
}

export function stepwise(steps) {
  for (let i = 1; i <= steps; i++) progress({ step: i, bytes: Buffer.from([i]) });
  return "done";
}

export function moved(size) {
  const bytes = new Uint8Array(size).fill(7);
  globalThis.kept = bytes;
  return transfer(bytes, [bytes.buffer]);
}

export const lengthOfMoved = () => globalThis.kept.length;

export function fail(message) {
  throw new RangeError(message);
}

export const notAFunction = 1;
