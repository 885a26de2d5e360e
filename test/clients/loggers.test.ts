// pino and winston, written to by many fibers: no line is lost, torn, or there twice, and each fiber's are in order.
import "runtime/patch";
import { once, onceSync } from "node:events";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { sleepSync } from "node:timers";
import pino from "pino";
import { sleep, spawn } from "runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import winston from "winston";
import { describeFibers } from "../support/fibers";
import { run } from "../support/run";
import { until } from "../support/turns";
import { atOnce } from "../support/web";

const FIBERS = 50;
const LINES = 40;
const all = Array.from({ length: FIBERS }, (_, fiber) =>
  Array.from({ length: LINES }, (_, line) => `${fiber}: ${line}`),
);

interface Line {
  fiber: number;
  line: number;
}

/** The lines of a log, each fiber's in the order in which they are there. */
function linesIn(log: string): string[][] {
  const fibers: string[][] = Array.from({ length: FIBERS }, () => []);
  for (const text of log.split("\n").slice(0, -1)) {
    const { fiber, line } = JSON.parse(text) as Line;
    fibers[fiber]?.push(`${fiber}: ${line}`);
  }
  return fibers;
}

function linesOf(file: string): string[][] {
  return linesIn(fs.readFileSync(file, "utf8"));
}

/** All fibers log all their lines, and give way to each other in between. */
function logAll(log: (line: Line & { rest: string }) => void): Promise<unknown> {
  return atOnce(FIBERS, async (fiber) =>
    spawn(() => {
      for (let line = 0; line < LINES; line++) {
        log({ fiber, line, rest: "x".repeat((line % 10) * 100) });
        if (line % 7 === fiber % 7) sleepSync(0);
      }
    }),
  );
}

describeFibers("loggers", () => {
  let directory: string;
  let file: string;

  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(tmpdir(), "runtime-log-"));
    file = path.join(directory, "log");
  });

  afterEach(() => fs.rmSync(directory, { recursive: true }));

  describe("pino", () => {
    describe.each([
      ["synchronous", { sync: true }],
      ["synchronous, buffered", { sync: true, minLength: 4096 }],
      ["asynchronous", { sync: false }],
      ["asynchronous, buffered", { sync: false, minLength: 4096 }],
    ])("to a file, %s", (_name, options) => {
      const open = async () => {
        const destination = pino.destination({ dest: file, ...options });
        if (!options.sync) await once(destination, "ready");
        return destination;
      };

      it("writes all lines", async () => {
        const destination = await open();
        const logger = pino(destination);
        await logAll((line) => logger.info(line));
        destination.end();
        await once(destination, "close");
        expect(linesOf(file)).toEqual(all);
      });

      it("writes all lines when fibers flush it", async () => {
        const destination = await open();
        const logger = pino(destination);
        await logAll((line) => (line.line % 5 === 0 ? logger.fatal(line) : logger.info(line))); // fatal() flushes
        destination.end();
        await once(destination, "close");
        // An asynchronous write that is under way may end after one that flushes, in plain Node, too.
        const lines = linesOf(file);
        expect(options.sync ? lines : lines.map((of) => of.sort())).toEqual(
          options.sync ? all : all.map((of) => [...of].sort()),
        );
      });
    });

    it.each([false, true])("to a worker thread (sync: %s), also when fibers flush it", async (sync) => {
      const transport = pino.transport({ target: "pino/file", options: { destination: file }, sync });
      const logger = pino(transport);
      await logAll((line) => {
        logger.info(line);
        if (line.line % 20 === 0) transport.flushSync();
      });
      const waiting = setInterval(() => {}, 1000); // the transport itself keeps no process alive
      transport.end();
      await once(transport, "close");
      clearInterval(waiting);
      expect(linesOf(file)).toEqual(all);
    });

    const program = (destination: string, pad: number, end: string) => `
      require("runtime/patch");
      const { sleepSync } = require("timers");
      const { spawn } = require("runtime");
      const pino = require(${JSON.stringify(require.resolve("pino"))});
      const logger = pino(pino.${destination});
      let left = ${FIBERS};
      for (let fiber = 0; fiber < ${FIBERS}; fiber++) {
        spawn(() => {
          for (let line = 0; line < ${LINES}; line++) {
            logger.info({ fiber, line, rest: "x".repeat(${pad}) });
            if (line % 7 === 0) sleepSync(0);
          }
          if (--left === 0) { ${end} }
        });
      }`;
    const transport = `transport({ target: "pino/file", options: { destination: process.argv[2] } })`;

    it("to a pipe that is full at times", async () => {
      // Node makes it one that does not block, but says EAGAIN, when it opens process.stdout.
      const { code, stdout } = await run(
        `process.stdout; ${program("destination({ dest: 1, sync: true })", 2000, "")}`,
      );
      expect([code, linesIn(stdout)]).toEqual([0, all]);
    });

    it.each([
      ["ends", ""],
      ["calls process.exit() in a fiber", "process.exit(0);"],
    ])("flushes when the program %s", async (_name, end) => {
      const outcome = await run(program(transport, 0, end), { args: [file] });
      expect(outcome).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
      expect(linesOf(file)).toEqual(all);
    });
  });

  describe("winston", () => {
    it("writes all lines to a file, also where a format blocks, and a fiber can wait until it has", async () => {
      let blocked = 0;
      const blocking = winston.format((info) => {
        if ((info as unknown as Line).line % 10 === 0) {
          fs.writeFileSync(path.join(directory, `${info.fiber}`), "");
          blocked++;
        }
        return info;
      });
      const transport = new winston.transports.File({ filename: file });
      const logger = winston.createLogger({
        format: winston.format.combine(blocking(), winston.format.json()),
        transports: [transport],
      });
      await logAll((line) => logger.info("a line", line));
      // Not before: to end a logger ends its transports, while lines that the format has held up are still on their way.
      await until(() => linesOf(file).flat().length === all.flat().length);
      await spawn(() => {
        logger.end();
        onceSync(transport, "finish");
      });
      expect(linesOf(file)).toEqual(all);
      expect(blocked).toBe((FIBERS * LINES) / 10);
    });

    it("lets listeners of its own events block", async () => {
      const logged: string[] = [];
      const transport = new winston.transports.File({ filename: file });
      transport.on("logged", (info: { message: string }) => {
        sleep(1);
        logged.push(info.message);
      });
      const logger = winston.createLogger({ transports: [transport] });
      await atOnce(10, async (i) => spawn(() => logger.info(`${i}`)));
      await until(() => logged.length === 10);
      expect(logged).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`));
      logger.close();
    });
  });
});
