"""As ours/memory.cjs, with eventlet: green threads suspended in Event.wait()."""
import json
import sys

import eventlet
from eventlet.event import Event
from usage import kibibytes, microseconds

count = int(sys.argv[1])
gate = Event()
suspended = 0


def body():
    global suspended
    suspended += 1
    gate.wait()
    return 1


def spawn_many(many):
    until = suspended + many
    threads = [eventlet.spawn(body) for _ in range(many)]
    while suspended < until:
        eventlet.sleep(0)
    return threads


first = spawn_many(100)
before = kibibytes()
start = microseconds()
threads = spawn_many(count)
create = (microseconds() - start) / count
memory = (kibibytes() - before) / count
start = microseconds()
gate.send()
ended = sum(thread.wait() for thread in threads)
end = (microseconds() - start) / count
if ended != count:
    sys.exit("%d of %d ended as they should" % (ended, count))
print(json.dumps({"create": create, "memory": memory, "end": end}))
