"""What llem adds to a container: the benchmark runs, and a run costs two calls of the client beside `run` at most."""

import re
import subprocess

import pytest


@pytest.mark.slow
def test_a_run_costs_two_further_calls_at_most(docker, llem, build_dir):
    env = llem.env | {"LLEM_BENCH_IMAGE": docker.image("base")}
    done = subprocess.run([build_dir / "bench" / "bench_containers", "2"], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^\| (.*?) \| ([-\d.]+) ", done.stdout, re.M))
    assert list(rows) == ["an experiment in a container, do-nothing engine", "a bare `docker run` with the same flags",
                          "what llem adds to it", "calls of the client for a run, its `run` among them"], done.stdout
    assert 1 <= float(rows["calls of the client for a run, its `run` among them"]) <= 3
