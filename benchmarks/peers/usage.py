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


def microseconds_of(run):
    start = microseconds()
    run()
    return microseconds() - start


def nanoseconds_each_of(count, measure, times=7):
    measure()
    return sorted(measure() * 1000 / count for _ in range(times))[times // 2]


def nanoseconds_each(count, run, times=7):
    return nanoseconds_each_of(count, lambda: microseconds_of(run), times)
