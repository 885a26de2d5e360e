// The handler of ours/sleep.cjs.
const { sleepSync } = require("node:timers");

module.exports = (_request, response) => {
  sleepSync(20);
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
};
