// Message ports, looked at from outside their event loop.
import type { MessageChannel as Channel, MessagePort } from "node:worker_threads";

let probe: Channel | undefined;

/**
 * Whether a port is closed, or was transferred. Without a turn of the event loop it becomes closed, after its other end
 * was, by receiveMessageOnPort.
 */
export function isDetached(port: MessagePort): boolean {
  const { port1 } = (probe ??= new MessageChannel() as unknown as Channel);
  try {
    port1.postMessage(null, [port, port]);
  } catch (error) {
    // Nothing can be transferred twice at once; but a port that cannot be transferred at all is refused for that first.
    return !/duplicate/i.test((error as Error).message);
  }
  return true;
}
