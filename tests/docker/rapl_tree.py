"""A RAPL package in files below LLEM_SYSROOT whose counter follows the CPU time of engines, here or in a container.

    tree = RaplTree(folder, "llem-engine-llamacpp").start()
    … LLEM_SYSROOT=tree.root …
    tree.joules(t0_ns, t1_ns)      the truth between two moments of the monotonic clock
    tree.stop()

A process of its own counts, so that it keeps time beside a test that waits: IDLE_W all the time, CORE_W more for each
processor that the engines' processes use. The engines of other tests count too: names are all it looks at.
"""

import bisect
import os
import subprocess
import sys
import time
from pathlib import Path

IDLE_W, CORE_W = 10, 15
FIRST_UJ = 100_000_000_000  # of as many digits as it ever has, so that it is written over in place
TICK_S, LOOK_S = 0.002, 0.1


def engines(name):
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.path.basename((folder / "cmdline").read_bytes().split(b"\0")[0]) == name.encode():
                yield folder.name
        except OSError:
            continue


def cpu_ns(pid):
    """Of all its threads, dead ones too: schedstat of a process is that of its first thread alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    done = (int(fields[11]) + int(fields[12])) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    live = sum(int(Path(t, "schedstat").read_text().split()[0]) for t in Path(f"/proc/{pid}/task").iterdir())
    return max(done, live)


def count(counter, log, name):
    used, looked, begin = {}, 0.0, time.monotonic_ns()
    with open(counter, "r+b", buffering=0) as file, open(log, "a", buffering=1) as truth:
        while True:
            if time.monotonic() > looked + LOOK_S:
                used |= {pid: 0 for pid in engines(name) if pid not in used}
                looked = time.monotonic()
            for pid in used:
                try:
                    used[pid] = max(used[pid], cpu_ns(pid))
                except (OSError, IndexError):
                    continue  # it has ended
            now = time.monotonic_ns()
            energy_uj = FIRST_UJ + (IDLE_W * (now - begin) + CORE_W * sum(used.values())) // 1000
            os.pwrite(file.fileno(), b"%d\n" % energy_uj, 0)
            truth.write(f"{now} {energy_uj}\n")
            time.sleep(TICK_S)


class RaplTree:
    def __init__(self, folder, engine):
        self.root, self.engine, self.log = Path(folder) / "root", engine, Path(folder) / "truth.txt"
        package = self.root / "sys/class/powercap/intel-rapl:0"
        package.mkdir(parents=True)
        (package / "name").write_text("package-0\n")
        (package / "max_energy_range_uj").write_text("262143328850\n")
        self.counter = package / "energy_uj"
        self.counter.write_text(f"{FIRST_UJ}\n")
        (self.root / "proc").mkdir()
        (self.root / "proc/cpuinfo").write_text("processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n")

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, self.counter, self.log, self.engine])
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
    count(*sys.argv[1:4])
