"""Sensors made of files: a counter that goes up by a power the test knows, and how far the test itself was late."""

import os
import threading
import time
from contextlib import contextmanager


class Counter:
    """What was written: `late_j`, the most by which a value was old when it reached the file."""

    def __init__(self, watts):
        self.watts = watts
        self.late_j = 0.0


def first_of_all():
    """This thread before ordinary ones, where the system allows it: a sensor does not wait for a busy machine."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass


@contextmanager
def counting(path, watts, every_s, jump_j=0, jumps=None):
    """A file of microjoules that goes up by the power given, refreshed every so often; jump_j more as soon as the event
    `jumps` is set."""
    path.write_text(f"{0:012d}\n")
    over = threading.Event()
    counter = Counter(watts)

    def count():
        first_of_all()
        file = os.open(path, os.O_WRONLY)
        began = time.monotonic()
        while not over.wait(every_s - (time.monotonic() - began) % every_s):
            seconds = time.monotonic() - began
            more_j = jump_j if jumps and jumps.is_set() else 0
            os.pwrite(file, f"{int((seconds * watts + more_j) * 1e6):012d}\n".encode(), 0)
            counter.late_j = max(counter.late_j, watts * (time.monotonic() - began - seconds))
        os.close(file)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counter
    finally:
        over.set()
        thread.join()
