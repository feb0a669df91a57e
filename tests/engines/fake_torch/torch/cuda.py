"""Its own clock runs 1.25 times as fast as everybody's, from a beginning of its own."""

import os
import time

from recording import has, note

ALLOCATED = 123_000_000


def is_available():
    return has("cuda")


def ticks_ms():
    return (time.monotonic_ns() - 10**9) * 1.25e-6


class Event:
    def __init__(self, enable_timing=False):
        assert enable_timing
        self.at_ms = None

    def record(self):
        self.at_ms = ticks_ms()
        note("cuda.event", "")

    def elapsed_time(self, later):
        return later.at_ms - self.at_ms


def synchronize(device=None):
    note("cuda.synchronize", device)


def reset_peak_memory_stats(device=None):
    note("cuda.reset_peak_memory_stats", device)


def max_memory_allocated(device=None):
    return ALLOCATED * (2 if has("a-rank-has-more") and os.environ.get("RANK") == "1" else 1)


def max_memory_reserved(device=None):
    return 2 * max_memory_allocated()


def mem_get_info(device=None):
    return 60 << 30, 80 << 30
