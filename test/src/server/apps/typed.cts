import type { IncomingMessage, ServerResponse } from "node:http";

module.exports = (req: IncomingMessage, res: ServerResponse): void => {
  res.end(`typed ${req.url as string}`);
};
