// An ES module, whose app is in WSGI's style.
import { existsSync, writeFileSync } from "node:fs";

const loadedBy = await Promise.resolve("a top-level await");

export default function app(req) {
  const { pathname, searchParams } = new URL(req.url, "http://x");
  if (pathname === "/endless") return { status: 200, headers: {}, body: endless(searchParams.get("file")) };
  return {
    status: 201,
    headers: { "x-loaded-by": loadedBy },
    body: [..."abc"].map((letter) => `${letter}${req.textSync()}`),
  };
}

function* endless(file) {
  try {
    for (;;) yield Buffer.alloc(10_000);
  } finally {
    if (!existsSync(file)) writeFileSync(file, "finally");
  }
}
