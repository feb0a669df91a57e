"""A whole run beside a board, or a package, whose power follows the engine's CPU time, judged by a clock of the test's own: the
kernel's count of that time, read while the run works. A window that is off by some hundredths of a second is seen."""

import fcntl
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest

from counters import first_of_all
from studies import check_records, metric, the_study, write
from test_simulators import drawn_j

pytestmark = pytest.mark.timing

IDLE_W, CORE_W = 80, 240
TOKEN_S = 0.02
WORK = {"sim.device": "gpu", "sim.decode_load": 1, "sim.token_us": int(TOKEN_S * 1e6), "n": 1, "energy.modelled": False,
        "energy.max_repeats": 1, "warmup.enabled": False, "memory_gate.settle_seconds": 0}
SHIFT_S = 0.05  # a window that is off by so much at one end or at both must not pass
SHIFT_J = SHIFT_S * IDLE_W  # the least that it adds or misses, at one end
TRIES = 5

REST_NS, END_NS = 300e6, 50e6

Burst = namedtuple("Burst", "t0_ns t1_ns cpu_s clear")


class CpuClock(threading.Thread):
    """CPU seconds of the process that a file names, by the monotonic clock."""

    def __init__(self, pid_file):
        super().__init__()
        self.pid_file, self.seen, self.over = pid_file, [], threading.Event()

    def run(self):
        first_of_all()
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

    def longest_burst(self):
        """Of what lies without a rest as long as a guard: the work, for nothing else of these runs takes as long. No record is
        asked. It is clear where the engine had a core of its own at both ends: they are then those of the work."""
        busy = [(a, b) for a, b in itertools.pairwise(self.seen) if b[1] - a[1] > 0.2 * (b[0] - a[0]) / 1e9]
        begins = [0] + [i for i in range(1, len(busy)) if busy[i][0][0] - busy[i - 1][1][0] >= REST_NS]
        bursts = [(busy[i][0], busy[j - 1][1]) for i, j in zip(begins, [*begins[1:], len(busy)], strict=True)]
        (t0, c0), (t1, c1) = max(bursts, key=lambda b: b[1][0] - b[0][0])
        at_ends = min(self.at(t0 + END_NS) - c0, c1 - self.at(t1 - END_NS))
        return Burst(t0, t1, c1 - c0, at_ends > 0.8 * END_NS / 1e9)


@pytest.fixture
def judged(llem, build_dir, tmp_path):
    """judged(sensor, fields): the record, and the work by the test's own clock. sensor: of a board, or None: a package. clear:
    the ends of the work are asked for; a run without them fails the test."""
    engine = next(p for p in build_dir.rglob("llem-engine-sim") if p.is_file())
    wrapper, pid_file, truth = tmp_path / "engine", tmp_path / "engine.pid", tmp_path / "truth.csv"
    # Before ordinary work, where that is granted: its ends are then those of the work on a busy machine, too.
    wrapper.write_text(f'#!/bin/sh\necho $$ > "{pid_file}"\nchrt -r 1 true 2>&- && exec chrt -r 1 "{engine}"\nexec "{engine}"\n')
    wrapper.chmod(0o755)
    load = [{"type": "constant", "watts": IDLE_W}, {"type": "cpu", "pid_file": str(pid_file), "watts_per_core": CORE_W}]
    llem.env["LLEM_ENGINE_SIM"] = str(wrapper)

    def command(sensor, fields):
        script, device = tmp_path / "script.json", {"load": load, **(sensor or {})}
        script.write_text(json.dumps({"packages" if sensor is None else "devices": [device]}))
        run = llem.command("run", write(tmp_path / "s.yaml", {**WORK, **fields}), "-o", tmp_path / "results")
        if sensor is None:
            return [build_dir / "bin" / "llem-rapl-sim", "--truth", truth, script, tmp_path / "rapl", "--", *run]
        llem.env |= {"LLEM_NVML_SIM": str(script), "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}
        return run

    def once(command):
        clock = CpuClock(pid_file)
        clock.start()
        try:
            done = subprocess.run(command, env=llem.env, cwd=tmp_path, capture_output=True, text=True, timeout=150)
        finally:
            clock.over.set()
            clock.join()
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study.result(), clock.longest_burst()

    def run(sensor, fields, clear=True):
        # One of them at a time, and again where others left the engine no core: its work then has no clear ends.
        with open(Path(tempfile.gettempdir()) / "llem-test-truth.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for _ in range(TRIES):
                shutil.rmtree(tmp_path / "results", ignore_errors=True)
                record, burst = once(command(sensor, fields))
                if not clear or burst.clear and burst.t1_ns - burst.t0_ns > 0.9e9 * fields["max_output_tokens"] * TOKEN_S:
                    break
            else:
                pytest.fail(f"the engine had no core of its own in any of {TRIES} runs: {burst}")
        if sensor is None:  # the simulator's own account: what it counted is what the engine used
            drawn = drawn_j(truth, burst.t0_ns, burst.t1_ns)
            assert drawn == pytest.approx(truth_j(burst), abs=SHIFT_J), burst
        return record, burst

    return run


def truth_j(burst):
    return IDLE_W * (burst.t1_ns - burst.t0_ns) / 1e9 + CORE_W * burst.cpu_s


LOADED = {"average": {"window_ms": 1000}, "architecture": "ada"}


POWER = {"counter": False, "average": False, "instant": {"period_ms": 100, "window_ms": 100, "delay_ms": 60}}
SENSORS = {
    "delayed": ({**LOADED, "counter": {"period_ms": 100, "delay_ms": 60}}, 50, "padded_counter"),
    "rises, 101 ms": ({**LOADED, "counter": {"period_ms": 101, "delay_ms": 20, "rise_ms": 30}}, 50, "padded_counter"),
    "late": ({**LOADED, "counter": {"period_ms": 100, "delay_ms": 250}}, 50, "padded_counter"),
    "3 s": ({**LOADED, "counter": {"period_ms": 100, "delay_ms": 60}}, 150, "padded_counter"),
    "power alone": ({**LOADED, **POWER}, 100, "padded_power"),
    "RAPL": (None, 75, "direct_difference"),
}


@pytest.mark.parametrize("sensor,tokens,method", SENSORS.values(), ids=SENSORS)
def test_joules_follow_the_engine(judged, sensor, tokens, method):
    record, burst = judged(sensor, {"max_output_tokens": tokens, "sim.device": "gpu" if sensor else "cpu"})
    energy, told = metric(record, "energy_j"), record["timing"]["window"]
    assert energy["method"] == method, record["flags"]
    assert not {"partial_coverage", "phase_locked"} & set(record["flags"]), record["flags"]
    # Moved as a whole a window costs no joules where it is as quiet before as behind: its ends are looked at, too.
    assert told["t0_ns"] == pytest.approx(burst.t0_ns, abs=0.4 * SHIFT_S * 1e9)
    assert told["t1_ns"] == pytest.approx(burst.t1_ns, abs=0.4 * SHIFT_S * 1e9)
    assert energy["value"] == pytest.approx(truth_j(burst), abs=0.4 * SHIFT_J), record["flags"]
    assert energy["low"] < truth_j(burst) < energy["high"]


def test_the_lag_of_a_sensor_is_measured(judged):
    """By the steps of the window itself: the bracket holds the delay, and the guards of the next window use it."""
    record, _ = judged({**LOADED, "counter": {"period_ms": 100, "delay_ms": 180}}, {"max_output_tokens": 50}, clear=False)
    [seen] = [c for name, c in record["energy"]["characterisation"]["channels"].items() if name.endswith(":energy")]
    assert seen["lag_steps_up"] >= 1 and seen["lag_steps_down"] >= 1
    assert seen["lag_delay_low_s"] <= 0.18 <= seen["lag_delay_high_s"] + 0.01
    assert 0.18 <= seen["lag_extent_s"] < 0.5


@pytest.mark.parametrize("fault", ["works_on", "none"])
def test_work_that_goes_on_after_the_answer_is_told(judged, fault):
    # What goes on is the work only where other tests leave it a core after the window, too.
    for _ in range(3 if fault == "works_on" else 1):
        record, _ = judged({**LOADED, "counter": {"period_ms": 100, "delay_ms": 60}}, {"max_output_tokens": 50, "sim.fail": fault},
                           clear=False)
        if "work_after_window" in record["flags"]:
            break
    assert ("work_after_window" in record["flags"]) == (fault == "works_on"), record["flags"]
