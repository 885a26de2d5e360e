// A preload that no thread survives.
if (!require("node:worker_threads").isMainThread) process.exit(4);
