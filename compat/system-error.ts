// Errors of the system, as Node makes them.
import { getSystemErrorName } from "node:util";

/** @param errno the system's number, negative */
export function systemError(errno: number, syscall: string, address?: string, port?: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno);
  const error = new Error(`${syscall} ${code}${port ? ` ${address}:${port}` : ""}`);
  return Object.assign(error, { errno, code, syscall, ...(port && { address, port }) });
}
