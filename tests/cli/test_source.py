"""A sensor is a file and a row: the programs of tests/source have one more of each, and a run measures with it."""

import json

import pytest

import support
from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

WATTS = 12.5  # of tests/source/probe.c


@pytest.fixture
def probe(llem, build_dir, tmp_path):
    """llem and a worker with the sensor `probe`."""
    program = support.Llem(build_dir / "bin" / "llem-probe", tmp_path)
    program.mark = llem.mark
    program.env[support.MARK] = llem.mark
    program.env["LLEM_WORKER"] = str(build_dir / "bin" / "llem-worker-probe")
    return program


def run(program, tmp_path, **fields):
    work = {"sim.token_us": 40000, "max_output_tokens": 24, "n": 1, "energy.modelled": False, "energy.max_repeats": 1,
            "warmup.enabled": False, **fields}
    path = write(tmp_path / "s.yaml", work)
    done = program.run("run", path, "-o", tmp_path / "results", timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    study = the_study(tmp_path / "results")
    check_records(program, study)
    return study.result(), done


def test_a_new_sensor_measures_a_run(probe, tmp_path):
    record, done = run(probe, tmp_path, **{"energy.backend": "probe"})
    window = record["timing"]["window"]
    truth_j = WATTS * (window["t1_ns"] - window["t0_ns"]) / 1e9
    energy = metric(record, "energy_j")
    assert energy["status"] == "simulated"
    assert energy["value"] == pytest.approx(truth_j, rel=0.01)
    assert energy["low"] < truth_j < energy["high"]
    scope = record["energy"]["scopes"][0]
    assert (scope["scope"], scope["systematic"]["class"]) == ("bench supply", "probe.bench")
    assert scope["outside"] == "what hangs on another supply"
    assert "Not in it: what hangs on another supply." in done.stdout


def test_a_new_sensor_is_listed_and_a_choice(probe, tmp_path):
    tree = json.loads(probe.ok("meter", "--json", "-s", "probe"))
    assert [c["id"] for c in tree["channels"]] == ["probe:supply:energy"]
    assert "`probe`: the bench supply of the tests" in probe.ok("config", "reference")
    path = write(tmp_path / "s.yaml", {"energy.backend": "prob"})
    done = probe.run("config", "check", path)
    assert done.returncode == 2 and "did you mean probe?" in done.stderr


def test_a_sensor_without_the_flag_is_opened_only_when_it_is_named(probe, tmp_path):
    opened = {s["name"]: s["asked"] for s in json.loads(probe.ok("meter", "--json"))["sources"]}
    assert opened["probe"] is False and opened["nvml"] is True
