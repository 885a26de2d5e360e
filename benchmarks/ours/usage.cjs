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

/** Microseconds of processor time that `run` takes. */
exports.microsecondsOf = function microsecondsOf(run) {
  const start = exports.microseconds();
  run();
  return exports.microseconds() - start;
};

/** Nanoseconds for each of `count` things, where `measure` tells how many microseconds they took; the median of several. */
exports.nanosecondsEachOf = function nanosecondsEachOf(count, measure, times = 7) {
  measure();
  const all = Array.from({ length: times }, () => (measure() * 1000) / count);
  return all.sort((a, b) => a - b)[times >> 1];
};

/** Nanoseconds of processor time for each of `count` things that `run` does; the median of several runs. */
exports.nanosecondsEach = function nanosecondsEach(count, run, times) {
  return exports.nanosecondsEachOf(count, () => exports.microsecondsOf(run), times);
};
