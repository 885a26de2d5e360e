import type { IncomingMessage, ServerResponse } from "node:http";

export default (req: IncomingMessage, res: ServerResponse): void => {
  res.end(`typed ${req.url as string}`);
};
