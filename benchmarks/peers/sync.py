"""As ours/sync.cjs, with gevent."""
import json

import gevent
from gevent.event import Event
from gevent.local import local as Local
from gevent.lock import Semaphore
from gevent.pool import Pool
from gevent.queue import Queue
from usage import microseconds_of, nanoseconds_each, nanoseconds_each_of


def many(count, fn):
    return [gevent.spawn(fn) for _ in range(count)]


def event():
    rounds = 20
    waiters = 1000

    def round():
        event = Event()
        done = Event()
        left = waiters

        def waiter():
            nonlocal left
            event.wait()
            left -= 1
            if left == 0:
                done.set()

        many(waiters, waiter)
        gevent.sleep(0)

        def wake():
            event.set()
            done.wait()

        return microseconds_of(wake)

    return nanoseconds_each_of(rounds * waiters, lambda: sum(round() for _ in range(rounds)))


def queue(maxsize=None):
    fibers = 100
    items = 100

    def run():
        queue = Queue(maxsize)

        def consumer():
            for _ in range(items):
                queue.get()

        def producer():
            for i in range(items):
                queue.put(i)

        consumers = many(fibers, consumer)
        producers = many(fibers, producer)
        gevent.joinall(producers)
        gevent.joinall(consumers)

    return nanoseconds_each(fibers * items, run)


def uncontended():
    count = 300_000
    semaphore = Semaphore(1)

    def run():
        for _ in range(count):
            semaphore.acquire()
            semaphore.release()

    return nanoseconds_each(count, run)


def contended():
    fibers = 100
    times = 100

    def run():
        semaphore = Semaphore(1)

        def body():
            for _ in range(times):
                semaphore.acquire()
                gevent.sleep(0)
                semaphore.release()
                gevent.sleep(0)

        gevent.joinall(many(fibers, body))

    return nanoseconds_each(fibers * times, run)


def pool():
    items = list(range(10_000))
    return nanoseconds_each(len(items), lambda: Pool(100).map(lambda item: item + 1, items))


def local():
    count = 1_000_000
    local = Local()
    leave = Event()

    def other():
        local.value = 2
        leave.wait()

    others = many(100, other)
    gevent.sleep(0)
    local.value = 1

    def run():
        total = 0
        for _ in range(count):
            total += local.value
        assert total == count

    each = nanoseconds_each(count, run)
    leave.set()
    gevent.joinall(others)
    return each


figures = {
    "bounded": queue(10),
    "unbounded": queue(),
    "uncontended": uncontended(),
    "contended": contended(),
    "pool": pool(),
    "local": local(),
    "event": event(),
}
print(json.dumps(figures))
