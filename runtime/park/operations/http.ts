// http and https in the park worker: it holds the responses, of which the caller has the head.
import type { IncomingMessage } from "node:http";
import { hold, letGo } from "./held";
import { type Ends, endsOf } from "./net";
import { type Patience, promised } from "./patience";
import { exchange } from "./requests";
import { adopt, type ConnectionSettings } from "./settings";

/** Properties of a response by their names. */
export type Head = Record<(typeof headNames)[number], unknown> & { ends: Ends };
export type Trailers = Record<(typeof trailerNames)[number], unknown>;

const headNames = [
  "httpVersion",
  "httpVersionMajor",
  "httpVersionMinor",
  "statusCode",
  "statusMessage",
  "rawHeaders",
  "headers",
  "headersDistinct",
] as const;

const trailerNames = ["complete", "rawTrailers", "trailers", "trailersDistinct"] as const;

function pick<K extends string>(message: IncomingMessage, names: readonly K[]): Record<K, unknown> {
  return Object.fromEntries(names.map((name) => [name, message[name as keyof IncomingMessage]])) as Record<K, unknown>;
}

export const operations = {
  "http.request"(
    patience: Patience,
    handle: number,
    settings: ConnectionSettings,
    module: "http" | "https",
    args: unknown[],
    body: unknown,
  ): Promise<Head> {
    adopt(settings);
    const { request } = require(`node:${module}`) as typeof import("node:http");
    return promised(patience, (resolve, done) =>
      exchange(request, args, body, (error, response) => {
        if (error) return done(error);
        const message = response as IncomingMessage;
        message.on("error", () => {}); // is told when it is next read
        hold(handle, message);
        resolve({ ...pick(message, headNames), ends: endsOf(message.socket) });
      }),
    );
  },

  /** What is known after the end of the body; after which nothing is left to be held. */
  "http.trailers"(_patience: Patience, handle: number): Trailers {
    return pick(letGo(handle) as IncomingMessage, trailerNames);
  },
};
