// What the means cost by which fibers wait for each other: processor time of one operation each, as named below.
const { Event, FiberLocal, Pool, Queue, Semaphore, sleep, spawn } = require("runtime");
const { microsecondsOf, nanosecondsEach, nanosecondsEachOf } = require("./usage.cjs");

function joined(fibers) {
  for (const fiber of fibers) fiber.join();
}

const many = (count, fn) => Array.from({ length: count }, () => spawn(fn));

/** { event }: each of 1,000 fibers that wait, from set() to the moment when the last of them has run. */
function event() {
  const rounds = 20;
  const waiters = 1000;

  function round() {
    const event = new Event();
    const done = new Event();
    let left = waiters;
    many(waiters, () => {
      event.wait();
      if (--left === 0) done.set();
    });
    sleep(0); // now they wait
    return microsecondsOf(() => {
      event.set();
      done.wait();
    });
  }

  return nanosecondsEachOf(rounds * waiters, () => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) sum += round();
    return sum;
  });
}

/** { bounded, unbounded }: each item that goes from one of 100 producers to one of 100 consumers, who are there first. */
function queue(maxSize) {
  const fibers = 100;
  const items = 100;
  return nanosecondsEach(fibers * items, () => {
    const queue = new Queue(maxSize);
    const consumers = many(fibers, () => {
      for (let i = 0; i < items; i++) queue.get();
    });
    const producers = many(fibers, () => {
      for (let i = 0; i < items; i++) queue.put(i);
    });
    joined(producers);
    joined(consumers);
  });
}

/** { uncontended }: acquire and release, with nobody else there. */
function uncontended() {
  const count = 300_000;
  const semaphore = new Semaphore(1);
  return nanosecondsEach(count, () => {
    for (let i = 0; i < count; i++) {
      semaphore.acquire();
      semaphore.release();
    }
  });
}

/**
 * { contended }: acquire and release by 100 fibers that want one permit. Each lets the others run while it holds the
 * permit, and again when it has given it back: else gevent's, which is no queue, would give it to the same one again.
 */
function contended() {
  const fibers = 100;
  const times = 100;
  return nanosecondsEach(fibers * times, () => {
    const semaphore = new Semaphore(1);
    joined(
      many(fibers, () => {
        for (let i = 0; i < times; i++) {
          semaphore.acquire();
          sleep(0);
          semaphore.release();
          sleep(0);
        }
      }),
    );
  });
}

/** { pool }: each of 10,000 items of a map over 100 fibers. */
function pool() {
  const items = Array.from({ length: 10_000 }, (_, i) => i);
  return nanosecondsEach(items.length, () => new Pool(100).map((item) => item + 1, items));
}

/** { local }: a look at this fiber's own value, of a variable of which 100 others have their own, too. */
function local() {
  const count = 1_000_000;
  const local = new FiberLocal();
  const leave = new Event();
  const others = many(100, () => {
    local.set(2);
    leave.wait();
  });
  sleep(0);
  local.set(1);
  const each = nanosecondsEach(count, () => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += local.get();
    if (sum !== count) throw new Error(`${sum} instead of ${count}`);
  });
  leave.set();
  joined(others);
  return each;
}

spawn(() => {
  const figures = {
    bounded: queue(10),
    unbounded: queue(),
    uncontended: uncontended(),
    contended: contended(),
    pool: pool(),
    local: local(),
    event: event(), // the last, since it leaves 1,000 warm stacks behind
  };
  console.log(JSON.stringify(figures));
  process.exit();
});
