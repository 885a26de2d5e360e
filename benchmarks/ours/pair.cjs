// { pair } nanoseconds to resume a native stack and suspend it again.
const { nanosecondsEach } = require("./usage.cjs");
const stacks = require("./stacks.cjs")(() => {
  for (;;) stacks.suspend();
});

const { resume } = stacks;
const stack = stacks.acquire(984 * 1024);
const count = 100_000;
const run = () => {
  for (let i = 0; i < count; i++) resume(stack);
};

console.log(JSON.stringify({ pair: nanosecondsEach(count, run) }));
process.exit();
