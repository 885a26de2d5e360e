"""As ours/db.cjs, with gevent and psycopg2, which psycogreen has wait for gevent. It puts values into the query's text, which
is one message; pg sends five."""
import json
import sys
from time import perf_counter

import gevent
import psycopg2
from gevent.queue import Queue
from psycogreen.gevent import patch_psycopg
from usage import microseconds

patch_psycopg()
directory, greenlets, queries = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pool = Queue()


def connect():
    connection = psycopg2.connect(host=directory, user="postgres", dbname="postgres")
    connection.autocommit = True
    pool.put(connection)


def query(i):
    connection = pool.get()
    try:
        with connection.cursor() as cursor:
            cursor.execute("select %s::int * 2 as double", (i,))
            return cursor.fetchone()[0]
    finally:
        pool.put(connection)


def run(count):
    numbers = iter(range(count))

    def loop():
        for i in numbers:
            double = query(i)
            if double != i * 2:
                sys.exit("wrong answer: %s to %d" % (double, i))

    gevent.joinall([gevent.spawn(loop) for _ in range(greenlets)], raise_error=True)


gevent.joinall([gevent.spawn(connect) for _ in range(20)], raise_error=True)
run(queries // 2)
start, used = perf_counter(), microseconds()
run(queries)
per_second = queries / (perf_counter() - start)
print(json.dumps({"perSecond": per_second, "cpu": (microseconds() - used) / queries}))
