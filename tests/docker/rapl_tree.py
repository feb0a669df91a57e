"""A RAPL package in files below LLEM_SYSROOT whose counter follows the CPU time of engines, here or in a container.

    tree = RaplTree(folder, "llem-engine-llamacpp").start()
    … LLEM_SYSROOT=tree.root …
    tree.joules(t0_ns, t1_ns)      the truth between two moments of the monotonic clock
    tree.stop()

A process of its own counts, so that it keeps time beside a test that waits: idle_w all the time, core_w more for each
processor that the engines' processes use; never the worker that measures. Engines of other tests count too, unless they
are told apart by a path in their mounts (mark).
"""

import bisect
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

IDLE_W, CORE_W = 10, 15
FIRST_UJ = 100_000_000_000  # of as many digits as it ever has, so that it is written over in place
TICK_S = 0.001
LOOKS = 4  # processes that are looked at in a tick: a look at all of them would be a gap in the counter


def is_engine(folder, name, mark):
    with suppress(OSError):
        return (os.path.basename((folder / "cmdline").read_bytes().split(b"\0")[0]) == name.encode()
                and mark in (folder / "mountinfo").read_text())
    return False


def looks(name, mark):
    """For ever: one process after the other, its pid where it is an engine, else None."""
    while True:
        for pid in [entry for entry in os.listdir("/proc") if entry.isdigit()]:
            yield int(pid) if is_engine(Path("/proc", pid), name, mark) else None


def cpu_ns(pid):
    """Of the whole process, dead threads too, to the nanosecond: CPUCLOCK_SCHED of it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def count(counter, log, name, idle_w, core_w, mark=""):
    used, look, begin = {}, looks(name, mark), time.monotonic_ns()
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with open(counter, "r+b", buffering=0) as file, open(log, "a", buffering=1) as truth:
        while True:
            for pid in filter(None, (next(look) for _ in range(LOOKS))):
                used.setdefault(pid, 0)
            for pid in used:
                with suppress(OSError):  # it has ended
                    used[pid] = cpu_ns(pid)
            now = time.monotonic_ns()
            energy_uj = FIRST_UJ + int((float(idle_w) * (now - begin) + float(core_w) * sum(used.values())) / 1000)
            os.pwrite(file.fileno(), b"%d\n" % energy_uj, 0)
            truth.write(f"{now} {energy_uj}\n")
            time.sleep(TICK_S)


class RaplTree:
    def __init__(self, folder, engine, idle_w=IDLE_W, core_w=CORE_W, mark=""):
        self.root, self.log = Path(folder) / "root", Path(folder) / "truth.txt"
        self.what = [engine, str(idle_w), str(core_w), str(mark)]
        package = self.root / "sys/class/powercap/intel-rapl:0"
        package.mkdir(parents=True)
        (package / "name").write_text("package-0\n")
        (package / "max_energy_range_uj").write_text("262143328850\n")
        self.counter = package / "energy_uj"
        self.counter.write_text(f"{FIRST_UJ}\n")
        (self.root / "proc").mkdir()
        (self.root / "proc/cpuinfo").write_text("processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n")

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, self.counter, self.log, *self.what])
        return self

    def stop(self):
        self.process.kill()
        self.process.wait()

    def joules(self, t0_ns, t1_ns):
        rows = [tuple(map(int, line.split())) for line in self.log.read_text().splitlines()[:-1]]
        times = [t for t, _ in rows]

        def at(t):
            i = bisect.bisect_left(times, t)
            (ta, ea), (tb, eb) = rows[i - 1], rows[i]
            return ea + (eb - ea) * (t - ta) / (tb - ta)

        return (at(t1_ns) - at(t0_ns)) / 1e6


if __name__ == "__main__":
    count(*sys.argv[1:])
