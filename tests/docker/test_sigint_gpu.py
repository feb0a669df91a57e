"""tests/docker/sigint-gpu.sh, the manual test for a machine with a GPU, where there is none: the same command, with a
stand-in for the toolkit and an nvidia-smi that reads a file."""

import json
import os
import subprocess

import pytest
from support import ROOT

SMI = '#!/bin/sh\ncase "$1" in *memory.used*) cat "$USED" ;; *) echo "GPU-a, Simulated, 1" ;; esac\n'


def run(llem, build_dir, tmp_path, *words, used="GPU-a, 100\n", timeout=400):
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "nvidia-smi").write_text(SMI)
    (tools / "nvidia-smi").chmod(0o755)
    (tmp_path / "used").write_text(used)
    env = llem.env | {"PATH": f"{tools}:{os.environ['PATH']}", "USED": str(tmp_path / "used"), "TMPDIR": str(tmp_path)}
    out = tmp_path / "record.json"
    command = [ROOT / "tests" / "docker" / "sigint-gpu.sh", "--llem", build_dir / "bin" / "llem", "--out", out, *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    return done, json.loads(out.read_text()) if out.exists() else None


def check(done, record):
    assert done.returncode == 0 and record["held"], (done.stdout, done.stderr)
    assert [row["exit_code"] for row in record["cases"]] == [130, 130, 130, 130, 137]
    assert [row["states"] for row in record["cases"]] == [["interrupted"]] * 4 + [["running"]]
    assert all(row["memory_before_mib"] == {"GPU-a": 100.0} == row["memory_after_mib"] for row in record["cases"])
    assert all(row["containers_left"] == [] for row in record["cases"])


@pytest.mark.slow
def test_the_script_of_the_manual_test(docker, llem, build_dir, tmp_path):
    """In containers of the real daemon; the boards that llem sees and that the toolkit's stand-in gives are simulated."""
    llem.env["LLEM_NVML_LIBRARY"] = str(build_dir / "lib" / "libllem-nvml-sim.so")
    done, record = run(llem, build_dir, tmp_path, "--image", docker.image("python"))
    check(done, record)
    assert all(row["running_before"] == 1 and row["in_container"] for row in record["cases"])


def test_it_says_what_it_needs(llem, build_dir, tmp_path):
    done, _ = run(llem, build_dir, tmp_path)
    assert done.returncode == 2 and "give --image" in done.stderr
    done, _ = run(llem, build_dir, tmp_path, "--llem", "/nonexistent", "--image", "x")
    assert done.returncode == 2 and "make build" in done.stderr


def test_it_tells_when_something_did_not_hold():
    import sigint_gpu

    row = {"exit_code": 1, "expected": [130], "states": ["ok"], "in_container": True, "running_before": 1, "containers_left": ["c1"],
           "memory_before_mib": {"GPU-a": 100.0, "GPU-b": 1.0}, "memory_after_mib": {"GPU-a": 612.0, "GPU-b": 2.0}}  # fmt: skip
    wrong = sigint_gpu.judge(row, ["interrupted"], 64)
    assert [w.split()[0] for w in wrong] == ["exit", "the", "left:", "GPU-a"] and "512 MiB" in wrong[3]
    fine = {**row, "exit_code": 130, "states": ["interrupted"], "containers_left": [], "memory_after_mib": {"absent": "no nvidia-smi"}}
    assert sigint_gpu.judge(fine, ["interrupted"], 64) == []
