"""A worker whose host's sensors are read by somebody else: it plans for them, and refuses a clock that is not theirs."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

import support
from studies import metric, the_study, write

pytestmark = pytest.mark.timing

CHANNEL = {
    "id": "rapl:package-0:energy", "source": "rapl", "device": "package-0", "label": "package-0", "scope": "CPU package",
    "kind": "energy", "status": "measured", "scale": 1e-6, "raw_unit": "uJ", "wrap": 262143328850, "max_power_w": 0,
    "unit": "J", "assumed_refresh_ns": 1000000, "assumed_window_ns": 0, "sensor_class": "rapl.intel", "low_ratio": 1,
    "high_ratio": 1, "rate": 1,
}


def clock(shift_ns=0):
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "time_namespace": os.readlink("/proc/self/ns/time"),
        "monotonic_ns": time.monotonic_ns() + shift_ns,
        "wall_ns": time.time_ns(),
    }


@pytest.fixture
def told(llem, tmp_path):
    """told(host, fields): the exchange file of a run that was already made here, with what a parent beside it says."""

    def tell(host, fields=None):
        llem.ok("run", write(tmp_path / "s.yaml", {"energy.modelled": False, "warmup.enabled": False, **(fields or {})}),
                "-o", tmp_path / "results")
        exchange = json.loads((the_study(tmp_path / "results").runs[0] / "config.json").read_text())
        folder = tmp_path / "exchange"
        folder.mkdir()
        path = folder / f"{exchange['config_hash']}_config.json"
        path.write_text(json.dumps({**exchange, "host": host}))
        return path

    return tell


def work(llem, build_dir, path, *before, **env):
    """The worker's status, and the record or the error record that it left."""
    done = subprocess.run([*before, build_dir / "bin/llem-worker"], env=llem.env | env | {"LLEM_CONFIG_PATH": str(path)},
                          capture_output=True, text=True, timeout=120)
    [record] = [p for p in path.parent.glob("*.json") if p.name.endswith(("_result.json", "_error.json"))]
    return done, json.loads(record.read_text())


def test_quiet_is_kept_for_sensors_of_the_host(llem, build_dir, told, tmp_path):
    """It does not open them itself, though they are there: a container may show them, and they would be read twice."""
    root = tmp_path / "root"
    package = root / "sys/class/powercap/intel-rapl:0"
    package.mkdir(parents=True)
    for name, text in {"name": "package-0", "max_energy_range_uj": "262143328850", "energy_uj": "1"}.items():
        (package / name).write_text(text + "\n")
    sources = [{"name": "rapl", "open": True, "absent": []}, {"name": "hwmon", "open": False, "reason": "no chip", "absent": []}]
    fields = {"baseline.enabled": True, "baseline.duration_seconds": 2, "sim.token_us": 5000, "energy.max_repeats": 100}
    path = told({"clock": clock(), "meter": {"sources": sources, "channels": [CHANNEL]}}, fields)
    done, record = work(llem, build_dir, path, LLEM_SYSROOT=str(root))
    assert done.returncode == 0, done.stderr
    support.validate(json.loads(llem.ok("result", "schema")), next(path.parent.glob("*_result.json")))
    guard = record["energy"]["guard"]
    assert guard["pre_ns"] >= 1e9 and guard["post_ns"] >= 1e9
    assert all(record["timing"][name] for name in ("idle_cold", "idle_context", "idle_after"))
    assert record["energy"]["beside"] is True and record["energy"]["scopes"] == []
    assert "host_energy.json" in metric(record, "energy_j")["reason"]
    assert {s["name"]: s["open"] for s in record["energy"]["sources"]} == {"nvml": False, "rapl": True, "hwmon": False}
    assert not (path.parent / "trace.csv.gz").exists()
    # As often as a sensor wants that refreshes every ms and is read every 10 ms: 0.44 s for 2 %.
    window = record["timing"]["window"]
    assert record["workload"]["repeats"] > 1 and window["t1_ns"] - window["t0_ns"] > 0.4e9
    assert len(record["timing"]["steps_ns"]) > 1


def test_without_channels_nothing_is_waited_for(llem, build_dir, told):
    path = told({"clock": clock(), "meter": {"sources": [{"name": "rapl", "open": False, "reason": "none here", "absent": []}],
                                             "channels": []}}, {"energy.backend": "rapl"})
    done, record = work(llem, build_dir, path)
    assert done.returncode == 0, done.stderr
    assert record["energy"]["guard"]["pre_ns"] == 0
    assert metric(record, "energy_j")["reason"] == "none here"


def test_a_shifted_clock_is_refused_before_the_engine_starts(llem, build_dir, told):
    path = told({"clock": clock(), "meter": {"sources": [], "channels": [CHANNEL]}})
    done, record = work(llem, build_dir, path, "unshare", "--time", "--monotonic", "1000", "--fork")
    assert done.returncode != 0
    assert record["class"] == "UnsupportedError" and record["phase"] == "configuration", record
    assert "another time namespace" in record["message"] and "1000.00" in record["message"]
    assert not (path.parent / "engine.log").exists()


def test_a_time_namespace_that_shifts_nothing_is_fine(llem, build_dir, told):
    path = told({"clock": clock(), "meter": {"sources": [], "channels": []}})
    done, record = work(llem, build_dir, path, "unshare", "--time", "--monotonic", "0", "--fork")
    assert done.returncode == 0, (done.stderr, record)


def test_another_kernel_is_refused(llem, build_dir, told):
    path = told({"clock": {**clock(), "boot": "00000000-0000-4000-8000-000000000000"},
                 "meter": {"sources": [], "channels": []}})
    done, record = work(llem, build_dir, path)
    assert done.returncode != 0 and "another kernel" in record["message"]


def test_a_broken_description_is_an_error_that_names_it(llem, build_dir, told):
    path = told({"clock": clock(), "meter": {"sources": [], "channels": [{**CHANNEL, "kind": "noise"}]}})
    done, record = work(llem, build_dir, path)
    assert done.returncode != 0 and "host.meter.channels[0]" in record["message"], record
