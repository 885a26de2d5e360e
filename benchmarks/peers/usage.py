"""The same measures as in ours/usage.cjs."""
import gc
import re
from time import process_time


def kibibytes():
    gc.collect()
    with open("/proc/self/status") as file:
        status = file.read()
    return sum(int(re.search(r"^%s:\s*(\d+)" % key, status, re.M)[1]) for key in ("VmRSS", "VmPTE"))


def microseconds():
    return process_time() * 1e6


def nanoseconds_each(count, run, times=7):
    run()
    every = []
    for _ in range(times):
        start = microseconds()
        run()
        every.append((microseconds() - start) * 1000 / count)
    return sorted(every)[times // 2]
