// { handover } nanoseconds from one fiber, by way of the hub, to the other.
const { sleep, spawn } = require("runtime");
const { nanosecondsEach } = require("./usage.cjs");

const count = 50_000;
const half = () => {
  for (let i = 0; i < count / 2; i++) sleep(0);
};

spawn(() => {
  const handover = nanosecondsEach(count, () => {
    const one = spawn(half);
    const other = spawn(half);
    one.join();
    other.join();
  });
  console.log(JSON.stringify({ handover }));
  process.exit();
});
