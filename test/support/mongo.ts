// A stand-in for a MongoDB server, which no package archive has: it speaks the protocol (OP_MSG), and keeps a few documents.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { BSON, Long } from "mongodb";

type Document = Record<string, unknown>;

const HEADER = 16;
const OP_MSG = 2013;
const OP_QUERY = 2004; // what a driver's first words are in
const OP_REPLY = 1;

export class MongoServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #collections = new Map<string, Map<unknown, Document>>();
  readonly #cursors = new Map<bigint, Document[]>();
  #lastCursor = 1n;
  /** The session of each insert and find, as text. */
  readonly sessions: string[] = [];
  /** How many commands that are never answered have come. */
  stuck = 0;
  /** The most connections that there were at a time. */
  mostConnections = 0;

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      this.mostConnections = Math.max(this.mostConnections, this.#sockets.size);
      let bytes = Buffer.alloc(0);
      socket.on("data", (chunk) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= 4 && bytes.length >= bytes.readInt32LE(0)) {
          const size = bytes.readInt32LE(0);
          this.#receive(socket, bytes.subarray(0, size));
          bytes = bytes.subarray(size);
        }
      });
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  /** @returns what to connect to */
  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `mongodb://127.0.0.1:${(this.#server.address() as AddressInfo).port}/?directConnection=true`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #receive(socket: Socket, message: Buffer): void {
    const id = message.readInt32LE(4);
    if (message.readInt32LE(12) === OP_QUERY) {
      const name = message.indexOf(0, HEADER + 4);
      const reply = Buffer.alloc(20);
      reply.writeInt32LE(1, 16);
      const answer = this.#answer(BSON.deserialize(message.subarray(name + 9)));
      if (answer) socket.write(framed(id, OP_REPLY, [reply, BSON.serialize(answer)]));
      return;
    }
    const answer = this.#answer(commandOf(message));
    if (answer) socket.write(framed(id, OP_MSG, [Buffer.alloc(5), BSON.serialize(answer)]));
  }

  #answer(command: Document): Document | null {
    const [name = "", target] = Object.entries(command)[0] ?? [];
    if (name === "insert" || name === "find") this.sessions.push(BSON.EJSON.stringify(command.lsid));
    switch (name) {
      case "hello":
      case "ismaster":
      case "isMaster":
        return { ...hello, ok: 1 };
      case "ping":
      case "endSessions":
      case "killCursors":
        return { ok: 1 };
      case "insert":
        return this.#insert(target, command.documents as Document[]);
      case "update":
        return this.#update(target, command.updates as Document[]);
      case "find":
        if ("$where" in (command.filter as Document)) {
          this.stuck++;
          return null;
        }
        return this.#firstBatch(this.#find(target, command.filter as Document), command);
      case "getMore":
        return this.#nextBatch(BigInt(String(target)), command);
      default:
        return { ok: 0, code: 59, codeName: "CommandNotFound", errmsg: `no such command: '${name}'` };
    }
  }

  #collection(name: unknown): Map<unknown, Document> {
    const collection = this.#collections.get(name as string) ?? new Map<unknown, Document>();
    this.#collections.set(name as string, collection);
    return collection;
  }

  #insert(name: unknown, documents: Document[]): Document {
    const collection = this.#collection(name);
    for (const [index, document] of documents.entries()) {
      const key = String(document._id);
      if (collection.has(key)) {
        const errmsg = `E11000 duplicate key error collection: ${name} dup key: { _id: ${key} }`;
        return { ok: 1, n: index, writeErrors: [{ index, code: 11000, errmsg }] };
      }
      collection.set(key, document);
    }
    return { ok: 1, n: documents.length };
  }

  // Only `$inc`.
  #update(name: unknown, updates: Document[]): Document {
    let n = 0;
    for (const { q, u } of updates) {
      for (const document of this.#find(name, q as Document)) {
        n++;
        for (const [field, by] of Object.entries((u as { $inc: Record<string, number> }).$inc)) {
          document[field] = ((document[field] as number | undefined) ?? 0) + by;
        }
      }
    }
    return { ok: 1, n, nModified: n };
  }

  // Only what is equal.
  #find(name: unknown, filter: Document): Document[] {
    const isSought = (document: Document) =>
      Object.entries(filter).every(([field, value]) => String(document[field]) === String(value));
    return [...this.#collection(name).values()].filter(isSought);
  }

  #firstBatch(found: Document[], { find, limit, batchSize = 101, $db }: Document): Document {
    const documents = limit ? found.slice(0, Math.abs(limit as number)) : found;
    const id = this.#keep(documents.slice(batchSize as number));
    return { ok: 1, cursor: { id, ns: `${$db}.${find}`, firstBatch: documents.slice(0, batchSize as number) } };
  }

  #nextBatch(cursor: bigint, { collection, batchSize = 101, $db }: Document): Document {
    const documents = this.#cursors.get(cursor) ?? [];
    this.#cursors.delete(cursor);
    const id = this.#keep(documents.slice(batchSize as number));
    return { ok: 1, cursor: { id, ns: `${$db}.${collection}`, nextBatch: documents.slice(0, batchSize as number) } };
  }

  #keep(rest: Document[]): Long {
    if (rest.length === 0) return Long.ZERO;
    this.#cursors.set(++this.#lastCursor, rest);
    return Long.fromBigInt(this.#lastCursor);
  }
}

const hello = {
  isWritablePrimary: true,
  ismaster: true,
  helloOk: true,
  maxBsonObjectSize: 16 * 1024 * 1024,
  maxMessageSizeBytes: 48_000_000,
  maxWriteBatchSize: 100_000,
  minWireVersion: 0,
  maxWireVersion: 21,
  logicalSessionTimeoutMinutes: 30,
  readOnly: false,
};

function framed(responseTo: number, code: number, parts: Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeInt32LE(
    parts.reduce((size, part) => size + part.length, HEADER),
    0,
  );
  header.writeInt32LE(responseTo, 8);
  header.writeInt32LE(code, 12);
  return Buffer.concat([header, ...parts]);
}

/** Flags, then sections: the command itself (kind 0), and sequences of documents that belong to it (kind 1). */
function commandOf(message: Buffer): Document {
  const command: Document = {};
  let at = HEADER + 4;
  while (at < message.length) {
    const kind = message[at];
    const size = message.readInt32LE(at + 1);
    const section = message.subarray(at + 1, at + 1 + size);
    if (kind === 0) Object.assign(command, BSON.deserialize(section));
    else {
      const end = section.indexOf(0, 4);
      command[section.toString("utf8", 4, end)] = documentsIn(section.subarray(end + 1));
    }
    at += 1 + size;
  }
  return command;
}

function documentsIn(bytes: Buffer): Document[] {
  const documents: Document[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
    documents.push(BSON.deserialize(bytes.subarray(at, at + bytes.readInt32LE(at))));
  }
  return documents;
}
