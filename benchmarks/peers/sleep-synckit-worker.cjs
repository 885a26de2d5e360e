// What sleep-synckit.cjs has done in another thread.
const { setTimeout: sleep } = require("node:timers/promises");
const { runAsWorker } = require("synckit");

runAsWorker((ms) => sleep(ms));
