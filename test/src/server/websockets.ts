// Clients of WebSockets.
import { once } from "node:events";
import WebSocket from "ws";

/** The status with which an upgrade is refused. */
export async function refusal(url: string): Promise<number> {
  const client = new WebSocket(url.replace("http", "ws"));
  client.on("error", () => {});
  const [, { statusCode }] = await once(client, "unexpected-response");
  client.terminate();
  return statusCode;
}

/** The next message, as text. */
export async function said(client: WebSocket): Promise<string> {
  const [message] = await once(client, "message");
  return `${message}`;
}
