"""Why a run in a container failed: a class and words for each cause, from a real daemon, and nothing left of it."""

import json
import os
import time
from pathlib import Path

import pytest

import support
from studies import the_study, write

SLOW = {"n": 1, "sim.token_us": 100000, "max_output_tokens": 30, "warmup.enabled": False}


def run(llem, image, fields=None, *arguments, expect=1, **options):
    path = write(llem.folder / "study.yaml", {"runners.sim.use": f"docker:{image}", **(fields or {})})
    done = llem.run("run", path, "-o", llem.folder / "results", "--skip-preflight", *arguments, **options)
    assert done.returncode == expect, done.stdout + done.stderr
    return the_study(llem.folder / "results")


def start(llem, image, fields=None, **more):
    path = write(llem.folder / "study.yaml", {"runners.sim.use": f"docker:{image}", **SLOW, **(fields or {})}, **more)
    process = llem.start("run", path, "-o", llem.folder / "results", "--skip-preflight")
    end = time.monotonic() + 60
    while not support.any_says(llem.folder, "progress.jsonl", '"measure"'):
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def finish(llem, process, expect=1):
    out, err = process.communicate(timeout=120)
    assert process.returncode == expect, out + err
    return the_study(llem.folder / "results")


def test_an_image_without_a_loader(llem, docker):
    """The worker cannot be executed: that is not 'no such file' of the worker, which is there."""
    record = run(llem, docker.image("noglibc")).error()
    assert record["class"] in ("EntryPointError", "LibraryMissing")
    assert "llem-worker" in record["message"] or "glibc" in record["message"] or "loader" in record["message"]
    assert any("exec" in line or "no such file" in line for line in record["log_tail"]), record["log_tail"]


def test_an_image_with_an_old_libc(llem, docker):
    record = run(llem, docker.image("oldglibc")).error()
    assert record["class"] == "LibraryMissing"
    assert "GLIBC_" in record["message"]


TWO = {"sweep": {"sim.threads": [1, 2]}}


def test_an_image_whose_name_goes_is_still_there_by_its_id(llem, docker):
    image = docker.image("base", name="llem-test/nameless", labels={"v": "gone"})
    process = start(llem, image, **TWO, execution={"n_cycles": 1})
    docker.ok("rmi", "-f", image)
    study = finish(llem, process, 0)
    assert study.states() == ["ok", "ok"]
    docker.ok("rmi", "-f", study.result()["context"]["image_id"])


def test_an_image_that_vanishes_in_mid_study(llem, docker):
    image = docker.image("base", name="llem-test/vanishing", labels={"v": "gone too"})
    process = start(llem, image, **TWO, execution={"n_cycles": 1, "experiment_gap_seconds": 4})
    while not support.files_below(llem.folder, "result.json"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    docker.ok("rmi", "-f", docker.image_id(image))
    study = finish(llem, process)
    assert study.states()[0] == "ok"  # finished runs stay whole
    assert study.error(1)["class"] == "ImageMissing"


def test_memory_of_the_container_runs_out(llem, docker):
    """The engine is killed by the kernel within the container's own bound: the worker's own count says so."""
    record = run(llem, docker.image("base"), {"runners.sim.memory": "64m", "sim.memory_mib": 200}).error()
    assert record["class"] == "EngineDied" and record["engine_error"]["class"] == "OutOfMemory"
    assert record["engine_error"]["oom"] is True
    assert "64.0 MiB is all that the memory limit of its cgroup allows" in record["message"]


def test_a_limit_that_is_refused(llem, docker):
    record = run(llem, docker.image("base"), {"runners.sim.ulimits": ["nofile=900000:900000"]}).error()
    assert record["class"] == "LimitsRefused"
    assert "nofile" in record["message"] or "limit" in record["message"]


def test_cpus_that_are_not_there(llem, docker):
    record = run(llem, docker.image("base"), {"runners.sim.cpus": 9999}).error()
    assert record["class"] in ("LimitsRefused", "ContainerError", "RunnerError", "ConfigError")
    assert "CPUs" in record["message"]


def test_words_of_an_earlier_run_do_not_count(llem, docker):
    """Each run has a log of its own: what one failed of is not what the next is told to have failed of."""
    study = run(llem, docker.image("base"), {"sim.fail": "crash", "sim.fail_at": 1})
    record = study.error()
    assert record["class"] == "EngineDied"
    assert "Unable to find image" not in json.dumps(record)


def test_an_exchange_folder_that_is_full(llem, docker, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=4m tmpfs {small}") != 0:
        pytest.skip("needs:tmpfs cannot mount")
    try:
        path = write(llem.folder / "s.yaml", {"runners.sim.use": f"docker:{docker.image('base')}", **SLOW})
        process = llem.start("run", path, "-o", small / "results", "--skip-preflight")
        while not support.any_says(small, "progress.jsonl", '"measure"'):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        with open(small / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "No space left on device" in out + err
        for record in Path(small).rglob("*.json"):
            json.loads(record.read_text())
        assert docker.containers() == []
    finally:
        os.system(f"umount {small}")
