// { single }: spawn an empty fiber and join it, one after another. { batch }: each of 1,000 that are spawned together.
const { spawn } = require("runtime");
const { nanosecondsEach } = require("./usage.cjs");

const empty = () => {};

function single() {
  const count = 30_000;
  return nanosecondsEach(count, () => {
    for (let i = 0; i < count; i++) spawn(empty).join();
  });
}

function batch() {
  const batches = 30;
  return nanosecondsEach(batches * 1000, () => {
    for (let i = 0; i < batches; i++) {
      const fibers = Array.from({ length: 1000 }, () => spawn(empty));
      for (const fiber of fibers) fiber.join();
    }
  });
}

spawn(() => {
  console.log(JSON.stringify({ single: single(), batch: batch() }));
  process.exit();
});
