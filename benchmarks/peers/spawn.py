"""As ours/spawn.cjs, with gevent."""
import json

import gevent
from usage import nanoseconds_each


def empty():
    pass


def single():
    count = 10_000

    def run():
        for _ in range(count):
            gevent.spawn(empty).join()

    return nanoseconds_each(count, run)


def batch():
    batches = 10

    def run():
        for _ in range(batches):
            gevent.joinall([gevent.spawn(empty) for _ in range(1000)])

    return nanoseconds_each(batches * 1000, run)


print(json.dumps({"single": single(), "batch": batch()}))
