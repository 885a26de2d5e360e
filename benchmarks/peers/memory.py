"""As ours/memory.cjs, with gevent: greenlets suspended in Event.wait()."""
import json
import sys

import gevent
from gevent.event import Event
from usage import kibibytes, microseconds

count = int(sys.argv[1])
gate = Event()


def body():
    gate.wait()
    return 1


def spawn_many(many):
    greenlets = [gevent.spawn(body) for _ in range(many)]
    gevent.sleep(0)
    return greenlets


first = spawn_many(100)
before = kibibytes()
start = microseconds()
greenlets = spawn_many(count)
create = (microseconds() - start) / count
memory = (kibibytes() - before) / count
start = microseconds()
gate.set()
ended = sum(greenlet.get() for greenlet in greenlets)
end = (microseconds() - start) / count
if ended != count:
    sys.exit("%d of %d ended as they should" % (ended, count))
print(json.dumps({"create": create, "memory": memory, "end": end}))
