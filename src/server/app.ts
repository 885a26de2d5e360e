// Stands in for the module of this name that comes with `serve`: to be replaced by it.
import type http = require("node:http");

type Chunks = Iterable<string | Uint8Array>;

export type App = (req: http.IncomingMessage, res: http.ServerResponse) => unknown;

/** One handler in blocking style for an app in Node's style or in WSGI's. */
export function handlerOf(app: App): (req: http.IncomingMessage, res: http.ServerResponse) => void {
  if (app.length >= 2) return app;
  return (req, res) => {
    const {
      status = 200,
      headers = {},
      body = "",
    } = app(req, res) as { status?: number; headers?: object; body?: Chunks };
    res.writeHead(status, headers as http.OutgoingHttpHeaders);
    if (typeof body !== "string" && !(body instanceof Uint8Array)) {
      for (const chunk of body) res.writeSync(chunk);
      res.end();
    } else res.end(body);
  };
}
