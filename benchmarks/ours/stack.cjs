// stack.cjs COUNT: { stack } KiB of each native stack, suspended in an empty function. Run with --expose-gc.
const { kibibytes } = require("./usage.cjs");
const stacks = require("./stacks.cjs")(() => stacks.suspend());

const count = Number(process.argv[2]);

function start(many) {
  for (let i = 0; i < many; i++) stacks.resume(stacks.acquire(984 * 1024));
}

start(100);
const before = kibibytes();
start(count);
console.log(JSON.stringify({ stack: (kibibytes() - before) / count }));
process.exit();
