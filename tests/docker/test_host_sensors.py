"""Sensors that a container does not show are read beside its worker: joules against the counter's own truth."""

import json
import time

import pytest

from rapl_tree import RaplTree
from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

SHIFT_NS = 50_000_000
IDLE_W, CORE_W = 20, 150
# Before and after the work the engine reads a message and sends one: a millisecond of its CPU time at each end, which the
# counter has and the window has not.
ENDS_J = 2 * 0.001 * CORE_W
BURNS = {"sim.threads": 2, "sim.decode_load": 1, "sim.prefill_load": 1, "sim.token_us": 40000, "max_output_tokens": 64, "n": 1,
         "energy.modelled": False, "energy.max_repeats": 1, "baseline.enabled": True, "baseline.duration_seconds": 5,
         "warmup.max_prompts": 1}


@pytest.fixture
def package(llem, tmp_path):
    kept = RaplTree(tmp_path, "llem-engine-sim", IDLE_W, CORE_W, tmp_path).start()
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(kept.root)}
    time.sleep(0.3)
    yield kept
    kept.stop()


def run(llem, docker, fields=None, **more):
    path = write(llem.folder / "study.yaml",
                 {"runners.sim.use": f"docker:{docker.image('base')}", **BURNS, **(fields or {})}, **more)
    done = llem.run("run", path, "-o", llem.folder / "results", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    return study


def joined(llem, run_dir):
    return json.loads(llem.ok("show", run_dir, "--json"))


def half_width(record):
    return record["energy"]["scopes"][0]["statistical_half_width_j"]


def test_an_engine_on_the_cpu_has_joules_per_token(llem, docker, package):
    study = run(llem, docker)
    own, record = study.result(), joined(llem, study.runs[0])
    window = own["timing"]["window"]
    t0, t1 = window["t0_ns"], window["t1_ns"]
    truth = package.joules(t0, t1)
    shifted = [package.joules(t0 + s, t1 + s) for s in (-SHIFT_NS, SHIFT_NS)]

    # The worker saw no sensor, says who did, and was quiet for it all the same.
    assert metric(own, "energy_j")["status"] == "absent" and "host_energy.json" in metric(own, "energy_j")["reason"]
    assert own["energy"]["beside"] is True and own["energy"]["scopes"] == []
    assert own["energy"]["guard"]["pre_ns"] >= 1e9 and own["energy"]["guard"]["post_ns"] >= 1e9
    assert own["timing"]["idle_cold"] and own["timing"]["idle_context"] and own["timing"]["idle_after"]

    # The reading covers the truth, and would not cover that of a window 50 ms off.
    energy = metric(record, "energy_j")
    assert energy["status"] == "measured" and "rapl" in energy["sensor"], energy
    assert energy["value"] == pytest.approx(truth, rel=0.01)
    assert energy["low"] < truth < energy["high"]
    allowed = half_width(record) + ENDS_J
    assert abs(energy["value"] - truth) <= allowed, (energy["value"], truth, allowed)
    assert max(abs(energy["value"] - s) for s in shifted) > 2 * allowed, (energy["value"], shifted, allowed)

    # All that follows from it.
    assert metric(record, "joules_per_output_token")["value"] == pytest.approx(energy["value"] / 64)
    assert metric(record, "idle_power_context_w")["value"] == pytest.approx(IDLE_W, rel=0.05)
    assert metric(record, "idle_power_cold_w")["value"] == pytest.approx(IDLE_W, rel=0.05)
    assert metric(record, "energy_net_context_idle_j")["value"] == pytest.approx(truth - IDLE_W * (t1 - t0) / 1e9, rel=0.05)
    warmup = own["timing"]["warmup"]
    assert metric(record, "warmup_energy_j")["value"] == pytest.approx(
        package.joules(warmup["t0_ns"], warmup["t1_ns"]), rel=0.03)
    assert metric(record, "tail_energy_j")["status"] == "measured"
    assert record["energy"]["scope"] == "CPU package"
    assert not {"phase_locked", "gap", "below_resolution", "host_energy_missing"} & set(record["flags"]), record["flags"]

    # The table and the journal have it too.
    end = study.journal[-1]["figures"]["metrics"]["joules_per_output_token"]
    assert end["value"] == metric(record, "joules_per_output_token")["value"]
    assert {"host_energy.json", "host_trace.csv.gz", "result.json"} <= {p.name for p in study.runs[0].iterdir()}


def test_what_does_not_belong_is_said_and_not_joined(llem, docker, package, tmp_path):
    study = run(llem, docker, {"sim.token_us": 20000}, execution={"n_cycles": 2})
    first, second = study.runs
    whole = (first / "host_energy.json").read_text()
    result = (first / "result.json").read_bytes()
    for name, content in {"torn": whole[: len(whole) // 2], "foreign": (second / "host_energy.json").read_text()}.items():
        (first / "host_energy.json").write_text(content)
        record = joined(llem, first)
        assert metric(record, "energy_j")["status"] == "absent", name
        assert "host_energy_unusable" in record["flags"], name
        assert any("host_energy.json" in w for w in record["warnings"]), record["warnings"]
    (first / "host_energy.json").unlink()
    assert "host_energy_missing" in joined(llem, first)["flags"]
    (first / "host_energy.json").write_text(whole)
    assert metric(joined(llem, first), "energy_j")["status"] == "measured"
    assert (first / "result.json").read_bytes() == result


def test_boards_stay_the_energy_and_the_packages_come_beside(llem, docker, package, build_dir, tmp_path):
    script = tmp_path / "boards.json"
    script.write_text(json.dumps({"devices": [{"load": [{"type": "constant", "watts": 200}], "average": {"window_ms": 1000}}]}))
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib/libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}
    image = docker.image("base", name="llem-test/beside-board", env={"LLEM_NVML_SIM": str(script)})  # heeded by the stand-in
    study = run(llem, docker, {"runners.sim.use": f"docker:{image}", "sim.device": "gpu", "sim.token_us": 43000})
    own, record = study.result(), joined(llem, study.runs[0])
    assert record["energy"]["scope"] == own["energy"]["scope"] == "GPU board"
    assert metric(record, "energy_j") == metric(own, "energy_j")
    assert metric(own, "energy_j")["status"] == "simulated"
    scopes = [s["scope"] for s in record["energy"]["scopes"]]
    assert scopes == ["GPU board", "CPU package"]


def test_a_run_that_fails_has_none(llem, docker, package):
    path = write(llem.folder / "study.yaml", {"runners.sim.use": f"docker:{docker.image('base')}", **BURNS,
                                              "baseline.enabled": False, "sim.fail": "crash", "sim.fail_at": 3})
    done = llem.run("run", path, "-o", llem.folder / "results", timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    [run_dir] = the_study(llem.folder / "results").runs
    names = {p.name for p in run_dir.iterdir()}
    assert "error.json" in names and "host_energy.json" not in names


def test_a_host_without_sensors_says_so(llem, docker, tmp_path):
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "empty")}
    study = run(llem, docker, {"baseline.enabled": False, "sim.token_us": 1000})
    record = study.result()
    assert "host_energy.json" not in {p.name for p in study.runs[0].iterdir()}
    assert {"rapl", "hwmon"} <= {s["name"] for s in record["energy"]["sources"]}
    assert "no sensor" in metric(record, "energy_j")["reason"]
