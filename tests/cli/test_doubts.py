"""Doubts about sensors that a run has to tell: of loading as of the work, of readings that nothing can have drawn, of levels that a
quiet reading makes look exact."""

import itertools
import os
import threading
import time
from contextlib import contextmanager

import pytest

import support
from counters import counting
from studies import metric, the_study, write
from test_sensors import BY_HWMON, board, boards, hwmon, truth_j, wandering  # noqa: F401 (fixtures)

pytestmark = pytest.mark.timing


def test_doubts_about_loading_are_told(boards, llem, tmp_path):  # noqa: F811
    """Its joules lack a second of readings, and the work's lack none: the run says so, and whose the doubt is."""
    faults = [{"call": "nvmlDeviceGetFieldValues", "field": f, "return": "UNKNOWN", "from_s": 2.8, "to_s": 3.8} for f in (83, 185, 186)]
    record, _ = boards([board()], {"sim.load_ms": 4000}, faults=faults)
    load, doubts = record["timing"]["load"], record["energy"]["stretch_flags"]
    assert load["t1_ns"] - load["t0_ns"] > 3.9e9
    assert "gap" in doubts["load_energy_j"] and "gap" not in record["energy"]["scopes"][0]["flags"], doubts
    assert "gap" in record["flags"] and "readings are missing" in record["flag_meanings"]["gap"]
    shown = llem.ok("show", the_study(tmp_path / "results").runs[0])
    assert ", ".join(doubts["load_energy_j"]) in next(line for line in shown.splitlines() if line.startswith("load_energy_j"))


def test_doubts_about_an_idle_level_are_told(boards, llem, tmp_path):  # noqa: F811
    """Half a second of it has no reading: the level is what the others say, and its line says that some are missing."""
    faults = [{"call": "nvmlDeviceGetFieldValues", "field": f, "return": "UNKNOWN", "from_s": 4, "to_s": 4.5} for f in (83, 185, 186)]
    record, _ = boards([board()], {"baseline.enabled": True, "baseline.duration_seconds": 6}, faults=faults)
    doubts = record["energy"]["stretch_flags"]
    assert metric(record, "idle_power_cold_w")["value"] is not None
    assert "gap" in doubts["idle_power_cold_w"], doubts
    assert "gap" in record["flags"] and "gap" not in record["energy"]["scopes"][0]["flags"]
    shown = llem.ok("show", the_study(tmp_path / "results").runs[0])
    assert "gap" in next(line for line in shown.splitlines() if line.startswith("idle_power_cold_w"))


@contextmanager
def stepping(path, microwatts, has_begun):
    """A file of microwatts that stays until the work has begun, and then shows twice as much now and then."""
    path.write_text(f"{microwatts:018d}\n")
    over = threading.Event()

    def step():
        file = os.open(path, os.O_WRONLY)
        for k in itertools.count():
            if over.wait(0.3):
                break
            os.pwrite(file, f"{microwatts * (1 + (has_begun() and k % 2)):018d}\n".encode(), 0)
        os.close(file)

    thread = threading.Thread(target=step)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("microwatts, grid_w", [(50_000_000, 1), (50_120_000, 0.01)], ids=["whole watts", "finer"])
def test_an_idle_level_is_no_finer_than_its_readings(llem, tmp_path, hwmon, microwatts, grid_w):  # noqa: F811
    """Power stays in idle and changes with the work: blocks that are all alike say nothing of how exact the level is."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root")}
    fields = {**BY_HWMON, "baseline.enabled": True, "baseline.duration_seconds": 5}
    with stepping(hwmon / "power1_input", microwatts, lambda: support.any_says(tmp_path / "results", "progress.jsonl", '"measure"')):
        llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results", timeout=150)
    idle = metric(the_study(tmp_path / "results").result(), "idle_power_cold_w")
    half_w = (idle["high"] - idle["low"]) / 2
    assert idle["value"] == pytest.approx(microwatts / 1e6)
    assert grid_w / 2 < half_w < grid_w, idle


def test_a_jump_of_a_counter_without_a_limit_is_no_energy(llem, tmp_path, hwmon):  # noqa: F811
    """Five seconds' worth of joules at once, which no limit of the chip's rules out: what it counted before and after does."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root")}
    jumps = threading.Event()

    def jump():
        while not support.any_says(tmp_path / "results", "progress.jsonl", '"measure"'):
            time.sleep(0.1)
        time.sleep(2.5)  # into the work, or the quiet right before it
        jumps.set()

    (hwmon / "energy1_label").write_text("Esocket0\n")
    waiting = threading.Thread(target=jump)
    with counting(hwmon / "energy1_input", 40, 0.05, jump_j=200, jumps=jumps):
        waiting.start()
        llem.ok("run", write(tmp_path / "s.yaml", BY_HWMON), "-o", tmp_path / "results", timeout=150)
        waiting.join()
    record = the_study(tmp_path / "results").result()
    energy = metric(record, "energy_j")
    assert energy["value"] is None and "jumped" in energy["reason"], energy
    assert "counter_reset" in record["flags"]


@pytest.mark.parametrize("known", [False, True])
def test_power_that_refreshes_seldom_is_planned_for(llem, tmp_path, hwmon, known):  # noqa: F811
    """Nothing but power, every 0.9 s: it is watched for as long as that takes; and where it was faster once, the block is repeated."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root"),
                 "XDG_CACHE_HOME": str(tmp_path / "cache")}
    if known:
        with wandering(hwmon / "power1_input"):
            llem.ok("meter", "characterise", "--duration", "1", "-s", "hwmon")
    with wandering(hwmon / "power1_input", every_s=0.9):
        llem.ok("run", write(tmp_path / "s.yaml", BY_HWMON), "-o", tmp_path / "results", timeout=200)
    record = the_study(tmp_path / "results").result()
    [sensor] = record["energy"]["characterisation"]["channels"].values()
    assert sensor["period_ns"] == pytest.approx(0.9e9, rel=0.1)
    assert record["energy"]["guard"]["pre_ns"] > 4 * 0.85e9 and "period_changed" not in record["flags"]
    energy = metric(record, "energy_j")
    assert energy["low"] < truth_j(record, 50) < energy["high"]
