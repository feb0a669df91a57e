"""A whole run beside a board whose power follows the engine's CPU time, judged by a clock of the test's own: the kernel's
count of that time, read while the run works. A window that is off by some hundredths of a second is seen."""

import fcntl
import itertools
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest

from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

IDLE_W, CORE_W = 80, 240
WORK = {"sim.device": "gpu", "sim.decode_load": 1, "sim.token_us": 20000, "n": 1, "energy.modelled": False,
        "energy.max_repeats": 1, "warmup.enabled": False, "memory_gate.settle_seconds": 0}
SHIFT_J = 0.05 * IDLE_W  # the least that a window adds or misses that is off by 50 ms at one end


class CpuClock(threading.Thread):
    """CPU seconds of the process that a file names, by the monotonic clock."""

    def __init__(self, pid_file):
        super().__init__()
        self.pid_file, self.seen, self.over = pid_file, [], threading.Event()

    def run(self):
        while not self.over.wait(0.002):
            try:
                clock = (~int(self.pid_file.read_text()) << 3) | 2  # of a process: see clock_getcpuclockid(3)
                self.seen.append((time.monotonic_ns(), time.clock_gettime(clock)))
            except (OSError, ValueError):
                pass

    def at(self, t_ns):
        after = next(i for i, (t, _) in enumerate(self.seen) if t >= t_ns)
        (t0, c0), (t1, c1) = self.seen[after - 1], self.seen[after]
        return c0 + (c1 - c0) * (t_ns - t0) / (t1 - t0)

    def burst(self, t_ns):
        """Begin, end and CPU seconds of the work that was under way at a moment: of all that lies without a rest of 15 ms.
        What the run says of its window is not asked."""
        busy = [(a, b) for a, b in itertools.pairwise(self.seen) if b[1] - a[1] > 0.2 * (b[0] - a[0]) / 1e9]
        inside = next(i for i, (a, b) in enumerate(busy) if b[0] >= t_ns)
        first = last = inside
        while first > 0 and busy[first][0][0] - busy[first - 1][1][0] < 15e6:
            first -= 1
        while last + 1 < len(busy) and busy[last + 1][0][0] - busy[last][1][0] < 15e6:
            last += 1
        (t0, c0), (t1, c1) = busy[first][0], busy[last][1]
        return t0, t1, c1 - c0


@pytest.fixture
def judged(llem, build_dir, tmp_path):
    """judged(sensor, fields): the record, and the joules that were drawn in its window."""
    engine = next(p for p in build_dir.rglob("llem-engine-sim") if p.is_file())
    wrapper, pid_file = tmp_path / "engine", tmp_path / "engine.pid"
    wrapper.write_text(f'#!/bin/sh\necho $$ > "{pid_file}"\nexec "{engine}"\n')
    wrapper.chmod(0o755)

    def once(fields):
        clock = CpuClock(pid_file)
        clock.start()
        try:
            llem.ok("run", write(tmp_path / "s.yaml", {**WORK, **fields}), "-o", tmp_path / "results", timeout=150)
        finally:
            clock.over.set()
            clock.join()
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        record = study.result()
        told = record["timing"]["window"]["t0_ns"], record["timing"]["window"]["t1_ns"]
        t0, t1, cpu_s = clock.burst(sum(told) / 2)
        if cpu_s > 0.95 * (told[1] - told[0]) / 1e9:
            return record, (t1 - t0) / 1e9, cpu_s, True
        return record, (told[1] - told[0]) / 1e9, clock.at(told[1]) - clock.at(told[0]), False

    def run(sensor, fields):
        load = [{"type": "constant", "watts": IDLE_W}, {"type": "cpu", "pid_file": str(pid_file), "watts_per_core": CORE_W}]
        (tmp_path / "boards.json").write_text(json.dumps({"devices": [{"load": load, **sensor}]}))
        llem.env |= {"LLEM_ENGINE_SIM": str(wrapper), "LLEM_NVML_SIM": str(tmp_path / "boards.json"),
                     "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}
        # One of them at a time, and again where others left the engine no core: its work then has no clear ends, and at
        # last those that the run tells must do.
        with open(Path(tempfile.gettempdir()) / "llem-test-truth.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for _ in range(3):
                shutil.rmtree(tmp_path / "results", ignore_errors=True)
                record, seconds, cpu_s, clear = once(fields)
                if clear:
                    break
        return record, IDLE_W * seconds + CORE_W * cpu_s

    return run


LOADED = {"average": {"window_ms": 1000}, "architecture": "ada"}


@pytest.mark.parametrize("counter,tokens", [
    ({"period_ms": 100, "delay_ms": 60}, 50),
    ({"period_ms": 101, "delay_ms": 20, "rise_ms": 30}, 50),
    ({"period_ms": 100, "delay_ms": 250}, 50),
    ({"period_ms": 100, "delay_ms": 60}, 150),
], ids=["delayed", "rises, 101 ms", "late", "3 s"])
def test_joules_follow_the_engine(judged, counter, tokens):
    record, truth_j = judged({**LOADED, "counter": counter}, {"max_output_tokens": tokens})
    energy = metric(record, "energy_j")
    assert energy["method"] == "padded_counter", record["flags"]
    assert "partial_coverage" not in record["flags"] and "phase_locked" not in record["flags"]
    assert energy["value"] == pytest.approx(truth_j, abs=0.4 * SHIFT_J), record["flags"]
    assert energy["low"] < truth_j < energy["high"]


def test_the_lag_of_a_sensor_is_measured(judged):
    """By the steps of the window itself: the bracket holds the delay, and the guards of the next window use it."""
    record, _ = judged({**LOADED, "counter": {"period_ms": 100, "delay_ms": 180}}, {"max_output_tokens": 50})
    [seen] = [c for name, c in record["energy"]["characterisation"]["channels"].items() if name.endswith(":energy")]
    assert seen["lag_steps_up"] >= 1 and seen["lag_steps_down"] >= 1
    assert seen["lag_delay_low_s"] <= 0.18 <= seen["lag_delay_high_s"] + 0.01
    assert 0.18 <= seen["lag_extent_s"] < 0.5


@pytest.mark.parametrize("fault", ["works_on", "none"])
def test_work_that_goes_on_after_the_answer_is_told(judged, fault):
    # What goes on is the work only where other tests leave it a core after the window, too.
    for _ in range(3 if fault == "works_on" else 1):
        record, _ = judged({**LOADED, "counter": {"period_ms": 100, "delay_ms": 60}}, {"max_output_tokens": 50, "sim.fail": fault})
        if "work_after_window" in record["flags"]:
            break
    assert ("work_after_window" in record["flags"]) == (fault == "works_on"), record["flags"]
