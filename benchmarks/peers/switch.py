"""pair: greenlet's switch there and back. handover: from one greenlet by way of gevent's hub to the other."""
import json

import gevent
import greenlet
from usage import nanoseconds_each


def pair():
    count = 100_000
    main = greenlet.getcurrent()

    def body():
        switch = main.switch
        while True:
            switch()

    switch = greenlet.greenlet(body).switch

    def run():
        for _ in range(count):
            switch()

    return nanoseconds_each(count, run)


def handover():
    count = 50_000

    def half():
        for _ in range(count // 2):
            gevent.sleep(0)

    return nanoseconds_each(count, lambda: gevent.joinall([gevent.spawn(half), gevent.spawn(half)]))


print(json.dumps({"pair": pair(), "handover": handover()}))
