// How large a request's body may be.
import type http = require("node:http");

import { expire } from "../../runtime/clock";
import { BODY_TOO_LARGE, refuse } from "./failure";

type Request = http.IncomingMessage;
type Response = http.ServerResponse;

/** For how many milliseconds what a client still sends is taken, and thrown away, so that it gets to read the answer. */
const LINGER = 2000;

/**
 * Holds a request to a limit for its body. If it is larger the client is told, 413, and who reads it gets an error with
 * the code ERR_BODY_TOO_LARGE; if the response has begun by then the connection is cut.
 * @returns false if that is known from the request's head, and the client has been told
 */
export function limitBody(req: Request, res: Response, limit: number): boolean {
  if (limit === Number.POSITIVE_INFINITY) return true;
  if (Number(req.headers["content-length"] ?? 0) > limit) {
    refuseBody(req, res);
    return false;
  }
  if (req.headers["transfer-encoding"] !== undefined) count(req, res, limit);
  return true;
}

/** A body that comes in chunks tells its length at its end. */
function count(req: Request, res: Response, limit: number): void {
  const { push } = req;
  let size = 0;
  req.push = (chunk: Buffer | null, ...rest) => {
    if (size > limit) return true; // what comes now is for nobody
    size += chunk?.length ?? 0;
    if (size <= limit) return push.call(req, chunk, ...rest);
    refuseBody(req, res);
    breakOff(req, limit);
    return true;
  };
}

function refuseBody(req: Request, res: Response): void {
  const { socket } = req;
  socket.destroySoon = () => {
    socket.end();
    const timer = expire(LINGER, () => socket.destroy());
    socket.once("close", () => timer?.cancel());
  };
  refuse(res, 413, { connection: "close" });
}

/** For who reads it, by an error; the connection is still needed. */
function breakOff(req: Request, limit: number): void {
  const error = new RangeError(`The request's body is larger than ${limit} bytes`);
  req.on("error", () => {});
  req._destroy = (_, done) => done(error);
  req.destroy(Object.assign(error, { code: BODY_TOO_LARGE }));
}
