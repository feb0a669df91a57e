"""An installed llem, away from its source and build folders."""

import json
import shutil
import subprocess

import pytest
import support
from studies import check_records, metric, the_study, write


@pytest.fixture
def installed(build_dir, tmp_path):
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", build_dir, "--prefix", prefix], check=True, capture_output=True)
    runner = support.Llem(prefix / "bin" / "llem", tmp_path)
    yield runner
    assert not runner.left_running()


def test_it_runs_a_study(installed, tmp_path):
    installed.ok("run", write(tmp_path / "s.yaml"), "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    assert study.states() == ["ok"]
    check_records(installed, study)


def test_it_can_be_moved(installed, tmp_path):
    """Nothing in it knows where it was put."""
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "prefix", moved)
    installed.program = moved / "bin" / "llem"
    installed.ok("run", write(tmp_path / "s.yaml"), "-o", tmp_path / "results")
    record = the_study(tmp_path / "results").result()
    assert metric(record, "tokens_out")["value"] == 8


def test_its_engines_are_its_own(installed, tmp_path):
    rows = {row["backend"]: row for row in json.loads(installed.ok("engine", "list", "--json"))}
    engines = tmp_path / "prefix" / "libexec" / "llem" / "engines"
    assert {"llamacpp", "pytorch", "sim", "vllm"} <= set(rows)
    assert all(row["folder"] == str(engines / name) and row["hides"] == [] for name, row in rows.items())
    assert rows["sim"]["path"] == str(engines / "sim" / "llem-engine-sim") and rows["sim"]["works"]
