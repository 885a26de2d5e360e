"""As ours/spawn.cjs, with eventlet."""
import json

import eventlet
from usage import nanoseconds_each


def empty():
    pass


def single():
    count = 10_000

    def run():
        for _ in range(count):
            eventlet.spawn(empty).wait()

    return nanoseconds_each(count, run)


def batch():
    batches = 10

    def run():
        for _ in range(batches):
            for thread in [eventlet.spawn(empty) for _ in range(1000)]:
                thread.wait()

    return nanoseconds_each(batches * 1000, run)


print(json.dumps({"single": single(), "batch": batch()}))
