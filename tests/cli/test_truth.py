"""A whole run beside a board whose power follows the engine's CPU time, judged by a clock of the test's own: the kernel's
count of that time, read while the run works. A window that is off by some hundredths of a second is seen."""

import json
import threading
import time

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

    def burst(self, t_ns):
        """Begin, end and CPU seconds of the work that was under way at a moment: of all that lies without a rest of 15 ms.
        What the run says of its window is not asked."""
        busy = [(a, b) for a, b in zip(self.seen, self.seen[1:]) if b[1] - a[1] > 0.2 * (b[0] - a[0]) / 1e9]
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

    def run(sensor, fields):
        load = [{"type": "constant", "watts": IDLE_W}, {"type": "cpu", "pid_file": str(pid_file), "watts_per_core": CORE_W}]
        (tmp_path / "boards.json").write_text(json.dumps({"devices": [{"load": load, **sensor}]}))
        llem.env |= {"LLEM_ENGINE_SIM": str(wrapper), "LLEM_NVML_SIM": str(tmp_path / "boards.json"),
                     "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}
        clock = CpuClock(pid_file)
        clock.start()
        try:
            llem.ok("run", write(tmp_path / "s.yaml", {**WORK, **fields}), "-o", tmp_path / "results", timeout=150)
        finally:
            clock.over.set()
            clock.join()
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        window = study.result()["timing"]["window"]
        t0, t1, cpu_s = clock.burst((window["t0_ns"] + window["t1_ns"]) / 2)
        return study.result(), IDLE_W * (t1 - t0) / 1e9 + CORE_W * cpu_s

    return run


@pytest.mark.parametrize("sensor", [
    {"architecture": "ada", "counter": {"period_ms": 100, "delay_ms": 60}, "average": {"window_ms": 1000}},
    {"architecture": "ada", "counter": {"period_ms": 101, "delay_ms": 20, "rise_ms": 30}, "average": {"window_ms": 1000}},
    {"architecture": "ada", "counter": {"period_ms": 100, "delay_ms": 250}, "average": {"window_ms": 1000}},
], ids=["delayed", "rises, 101 ms", "late"])
@pytest.mark.parametrize("tokens", [50, 150], ids=["1 s", "3 s"])
def test_joules_follow_the_engine(judged, sensor, tokens):
    record, truth_j = judged(sensor, {"max_output_tokens": tokens})
    energy = metric(record, "energy_j")
    assert energy["method"] == "padded_counter", record["flags"]
    assert "partial_coverage" not in record["flags"] and "phase_locked" not in record["flags"]
    assert energy["value"] == pytest.approx(truth_j, abs=0.4 * SHIFT_J), record["flags"]
    assert energy["low"] < truth_j < energy["high"]
