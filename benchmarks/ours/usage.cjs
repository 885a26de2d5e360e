// What this process has used so far.
const { readFileSync } = require("node:fs");

/** Resident memory and page tables, in KiB, without garbage. */
exports.kibibytes = function kibibytes() {
  gc();
  gc();
  const status = readFileSync("/proc/self/status", "utf8");
  const figure = (key) => Number(new RegExp(`^${key}:\\s*(\\d+)`, "m").exec(status)[1]);
  return figure("VmRSS") + figure("VmPTE");
};

/** Processor time rather than the clock on the wall: what other programs on the machine do then matters less. */
exports.microseconds = function microseconds() {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** Nanoseconds of processor time for each of `count` things that `run` does; the median of several runs. */
exports.nanosecondsEach = function nanosecondsEach(count, run, times = 7) {
  run();
  const all = [];
  for (let i = 0; i < times; i++) {
    const start = exports.microseconds();
    run();
    all.push(((exports.microseconds() - start) * 1000) / count);
  }
  return all.sort((a, b) => a - b)[times >> 1];
};
